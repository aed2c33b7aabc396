"""Joins ES modules to one script, without a build.

Each module becomes a block, so its names stay its own; what it exports is put into a
register from which later blocks take what they import. Understood is what the page's
modules use: one-line named imports of files beside it, and exported declarations.
"""

import re
from collections.abc import Mapping

REGISTER = "$modules"
_IMPORT = re.compile(r'^import (\{[^}]*\}) from "\./([\w.-]+)";$', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function\*?|class|const|let) ([\w$]+))", re.M)
_LEFT_OVER = re.compile(r"^\s*(?:import|export)\b(?! ?\()", re.MULTILINE)


class BundleError(ValueError):
    """The modules cannot be joined; says which one and why."""


def bundle(modules: Mapping[str, str], entry: str) -> str:
    """Return one module script that does what `entry` does.

    Parameters
    ----------
    modules : source text by file name.

    Raises
    ------
    BundleError
        For a missing module, a missing export, a cycle, or a form that is not understood.
    """
    done: dict[str, frozenset[str]] = {}
    blocks: list[str] = []

    def add(name: str, above: tuple[str, ...]) -> None:
        if name in done:
            return
        if name in above:
            raise BundleError(f"{name}: imports itself by way of {' and '.join(above)}")
        if name not in modules:
            raise BundleError(f"{name}: there is no such module")
        source = modules[name]
        for names, other in _IMPORT.findall(source):
            add(other, (*above, name))
            missing = set(re.findall(r"[\w$]+", names)) - done[other]
            if missing:
                raise BundleError(f"{name}: {other} does not export {', '.join(sorted(missing))}")
        exports = _EXPORT.findall(source)
        body = _IMPORT.sub(rf'const \1 = {REGISTER}["\2"];', source)
        body = _EXPORT.sub("", body)
        if _LEFT_OVER.search(body):
            raise BundleError(f"{name}: an import or export is not understood")
        blocks.append(
            f"// {name}\n{{\n{body.strip()}\n"
            f'{REGISTER}["{name}"] = {{ {", ".join(exports)} }};\n}}\n'
        )
        done[name] = frozenset(exports)

    add(entry, ())
    return f"const {REGISTER} = {{}};\n" + "".join(blocks)
