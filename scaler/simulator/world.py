"""A queue and a fleet in simulated time: exact, event by event.

Photos are taken in the order of their arrival, each by the worker that is free for the
longest time; a worker holds one photo at a time. What a dying worker held comes back when
its visibility timeout is over. Nothing here decides anything.
"""

import heapq
import math
import random
from array import array
from collections import deque
from dataclasses import dataclass

from scaler.simulator.traces import Trace

VISIBILITY_TIMEOUT = 120.0
# The workers end themselves when they had nothing to do for so long.
WORKER_IDLE = 300.0
_SLOT = 5.0


class Worker:
    """One instance.

    Attributes
    ----------
    ready_at : when it takes its first photo; infinite when its boot fails.
    free_at : when it is through with what it holds.
    holding : index of the photo it took last; -1 before the first.
    serving : whether it takes photos; false once it is claimed for a drain.
    ended_at : infinite while it exists.
    """

    __slots__ = (
        "dies_at",
        "ended_at",
        "free_at",
        "holding",
        "launched_at",
        "number",
        "ready_at",
        "serving",
    )

    def __init__(self, number: int, launched_at: float, ready_at: float, dies_at: float) -> None:
        self.number = number
        self.launched_at = launched_at
        self.ready_at = ready_at
        self.free_at = ready_at
        self.dies_at = dies_at
        self.holding = -1
        self.serving = True
        self.ended_at = math.inf


@dataclass(frozen=True, slots=True)
class Launch:
    """What EC2 answered to a launch.

    Attributes
    ----------
    dry_pools : the pools that had nothing to give.
    throttled : the whole call was refused and may be tried again.
    """

    workers: tuple[Worker, ...]
    dry_pools: tuple[int, ...] = ()
    throttled: bool = False


class World:
    """The queue, the fleet and the bill.

    Parameters
    ----------
    idle : a worker ends itself when it had nothing to do for so long.

    Attributes
    ----------
    workers : all that exist, booting and claimed ones included.
    finished : for each photo, when its result was there; NaN before.
    """

    def __init__(self, trace: Trace, seed: int = 0, idle: float = WORKER_IDLE) -> None:
        self.trace = trace
        self.now = 0.0
        self.workers: list[Worker] = []
        self.finished = array("d", [math.nan]) * trace.photos
        self.launched = 0
        self.wasted = 0
        self.killed_busy = 0
        self.most = 0
        self._seed = seed
        self._idle = idle
        self._head = 0  # the first photo that nobody took yet
        self._arrived = 0  # how many arrived until now
        self._free: list[tuple[float, int, Worker]] = []
        self._returning: list[tuple[float, int]] = []
        self._returned: deque[tuple[float, int]] = deque()
        self._deaths: list[tuple[float, int, Worker]] = []
        self._slot = (-1, 0)
        self._billed = 0.0

    @property
    def visible(self) -> int:
        """Photos that wait."""
        return self._arrived - self._head + len(self._returned)

    @property
    def in_flight(self) -> int:
        """Photos that are held, by workers or by the memory of dead ones."""
        now = self.now
        held = sum(1 for worker in self.workers if worker.holding >= 0 and worker.free_at > now)
        return held + len(self._returning)

    @property
    def arrived(self) -> int:
        return self._arrived

    @property
    def oldest_age(self) -> float | None:
        """Seconds since the arrival of the oldest waiting photo."""
        arrivals = self.trace.arrivals
        if self._returned:
            return self.now - min(arrivals[photo] for _, photo in self._returned)
        return self.now - arrivals[self._head] if self._head < self._arrived else None

    @property
    def done(self) -> bool:
        """Whether every photo of the trace has its result."""
        return self._head == self.trace.photos and not self.visible and not self.in_flight

    @property
    def cost(self) -> float:
        """Dollars until now."""
        seconds = self._billed + sum(self._paid(worker, self.now) for worker in self.workers)
        return seconds / 3600 * self.trace.ec2.hourly_price

    @property
    def instance_seconds(self) -> float:
        """Seconds that were paid for until now."""
        return self._billed + sum(self._paid(worker, self.now) for worker in self.workers)

    def run_until(self, until: float) -> None:
        """Let everything happen that happens before `until`."""
        while True:
            stop = until
            if self._deaths:
                stop = min(stop, self._deaths[0][0])
            if self._returning:
                stop = min(stop, self._returning[0][0])
            self._serve(stop)
            self.now = stop
            while self._returning and self._returning[0][0] <= stop:
                self._returned.append(heapq.heappop(self._returning))
            while self._deaths and self._deaths[0][0] <= stop:
                dying = heapq.heappop(self._deaths)[2]
                if math.isinf(dying.ended_at):
                    self.end(dying)
            if stop >= until:
                break
        self._count_arrivals()
        self._end_idle()

    def launch(self, count: int, pools: tuple[int, ...] | None = None) -> Launch:
        """Ask for instances in pools, all of them unless told; the first that has some gives.

        Boot times depend on the seed and the time of the launch only, so that rules which
        launch at the same moment have the same luck.
        """
        ec2 = self.trace.ec2
        slot = int(self.now // _SLOT)
        used = self._slot[1] if self._slot[0] == slot else 0
        luck = random.Random(f"{self._seed}/call/{slot}")  # noqa: S311 (no secret)
        if ec2.throttled and luck.random() < ec2.throttled:
            return Launch((), throttled=True)
        asked = range(ec2.pools) if pools is None else pools
        dry = tuple(
            pool
            for pool in asked
            if any(start <= self.now < end and pool < dry for start, end, dry in ec2.droughts)
        )
        if len(dry) == len(asked):
            return Launch((), dry)
        made = tuple(self._boot(slot, used + index) for index in range(count))
        self._slot = (slot, used + count)
        return Launch(made, dry)

    def claim(self, worker: Worker) -> None:
        """Let a worker finish what it holds and take nothing more."""
        worker.serving = False

    def release(self, worker: Worker) -> None:
        """Let a claimed worker go on."""
        if not worker.serving:
            worker.serving = True
            if not math.isinf(worker.ready_at):
                heapq.heappush(self._free, (worker.free_at, worker.number, worker))

    def end(self, worker: Worker, at: float | None = None) -> None:
        """Terminate an instance; a photo that it holds comes back later."""
        at = self.now if at is None else at
        worker.serving = False
        worker.ended_at = at
        self.workers.remove(worker)
        self._billed += self._paid(worker, at)
        if worker.holding < 0:
            self.wasted += 1
        elif worker.free_at > at:
            self.killed_busy += 1
            self.finished[worker.holding] = math.nan
            heapq.heappush(self._returning, (at + VISIBILITY_TIMEOUT, worker.holding))

    def _paid(self, worker: Worker, at: float) -> float:
        return max(self.trace.ec2.billing_minimum, at - worker.launched_at)

    def _boot(self, slot: int, index: int) -> Worker:
        ec2 = self.trace.ec2
        luck = random.Random(f"{self._seed}/{slot}/{index}")  # noqa: S311 (no secret)
        boot = ec2.boot_median * math.exp(ec2.boot_spread * luck.gauss(0.0, 1.0))
        life = luck.expovariate(1 / ec2.mean_life) if ec2.mean_life else math.inf
        fails = luck.random() < ec2.boot_failures
        self.launched += 1
        worker = Worker(
            self.launched,
            self.now,
            math.inf if fails else self.now + boot,
            self.now + life,
        )
        self.workers.append(worker)
        self.most = max(self.most, len(self.workers))
        if not fails:
            heapq.heappush(self._free, (worker.ready_at, worker.number, worker))
        if ec2.mean_life:
            heapq.heappush(self._deaths, (worker.dies_at, worker.number, worker))
        return worker

    def _serve(self, until: float) -> None:
        """Hand out every photo whose work begins before `until`."""
        free, returned = self._free, self._returned
        arrivals, work, finished = self.trace.arrivals, self.trace.work, self.finished
        head, last = self._head, self.trace.photos
        replace = heapq.heapreplace
        while True:
            if returned:
                came, photo = returned[0]
            elif head < last:
                photo = head
                came = arrivals[head]
            else:
                break
            if came >= until or not free:
                break
            since, number, worker = free[0]
            if not worker.serving or since != worker.free_at:
                heapq.heappop(free)  # claimed or ended since, or claimed and released
                continue
            if came > since:
                if came - since >= self._idle:
                    heapq.heappop(free)
                    self.end(worker, since + self._idle)
                    continue
                start = came
            else:
                start = since
            if start >= until:
                break
            worker.free_at = finished[photo] = end = start + work[photo]
            worker.holding = photo
            replace(free, (end, number, worker))
            if returned:
                returned.popleft()
            else:
                head += 1
        self._head = head

    def _count_arrivals(self) -> None:
        arrivals, arrived, last = self.trace.arrivals, self._arrived, self.trace.photos
        now = self.now
        while arrived < last and arrivals[arrived] <= now:
            arrived += 1
        self._arrived = arrived

    def _end_idle(self) -> None:
        longest = self.now - self._idle
        for worker in [each for each in self.workers if each.serving and each.free_at <= longest]:
            self.end(worker, worker.free_at + self._idle)
