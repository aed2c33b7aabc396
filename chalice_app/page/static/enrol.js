// Photos of one person, enrolled one after the other.

import { isLeaving } from "./api.js";
import { count, h, icon, say, toast } from "./dom.js";
import { ask } from "./jobs.js";

/**
 * Enrol photos of one person, one after the other, and return how many were taken.
 *
 * `who` is a new name or the id of somebody who is there.
 */
export async function enrol(files, who, note) {
  const problems = [];
  let person = who;
  let done = 0;
  for (const [at, file] of files.entries()) {
    const of = files.length > 1 ? `Photo ${at + 1} of ${files.length}` : "The photo";
    try {
      const result = await ask(file, { kind: "enroll", params: person }, (stage, share) => {
        note.textContent = stage === "sending" ? `${of}: sending, ${Math.round(100 * share)} %` : `${of}: ${stage === "offline" ? "waiting for the network" : "being looked at"}…`;
      });
      person = { person_id: result.enrolment.person_id };
      done += 1;
    } catch (error) {
      if (isLeaving(error)) return 0;
      problems.push(h("p", { class: "bad" }, icon("warn"), `${file.name}: ${error.message}`));
    }
  }
  note.replaceChildren(...problems);
  if (problems.length) {
    say(note.textContent, { alarm: true });
    if (done) toast(`${count(done, "photo")} taken, ${problems.length} not: ${note.textContent}`, { bad: true });
  }
  return done;
}
