"""``utaa registry trace``, ``impact``, ``locate``, ``budget`` and the plant's other commands."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Annotated, Any

import typer

from registry.fibre import answers, geojson, whole
from registry.fibre.operations import ChangesRefused, operations_of
from registry.fibre.services import Compiled, PlantKeeper
from registry.fibre.sor import SorError
from registry.fibre.values import PlantError
from registry.printing.typeset import pdf
from registry.rights import CONSOLE

Desk = Callable[[Path | None], AbstractAsyncContextManager[Any]]
Run = Callable[[Coroutine[Any, Any, None]], None]
Config = Annotated[Path | None, typer.Option("--config", help="one TOML file with all settings")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON")]
End = Annotated[str, typer.Argument(help="CABLE/STRAND/A, EQUIPMENT/PORT/front, …")]
To = Annotated[str | None, typer.Option("--to", help="the far end, past splitters")]
Wavelength = Annotated[int, typer.Option("--nm", help="1310, 1490 or 1550")]


class _Console:
    """What every command needs."""

    def __init__(self, desk: Desk, run: Run) -> None:
        self._desk = desk
        self._run = run

    def ask(self, config: Path | None, question: Callable[[Compiled], Any]) -> Any:
        """The answer of the plant in the database."""
        found: list[Any] = []

        async def work() -> None:
            async with self._desk(config) as desk:
                kept = await PlantKeeper().current(desk.database)
                found.append(_answered(kept, question))

        self._run(work())
        return found[0]

    def take(
        self, config: Path | None, operations: Callable[[Compiled], list[dict[str, Any]]], dry_run: bool
    ) -> int:
        """Take operations; how many."""
        taken: list[int] = []

        async def work() -> None:
            async with self._desk(config) as desk:
                said = operations(await PlantKeeper().current(desk.database))
                if said:
                    await PlantKeeper().change(
                        desk.database, operations_of(said), actor=CONSOLE, origin="console",
                        now_us=desk.clock.now_us(), dry_run=dry_run,
                    )  # fmt: skip
                taken.append(len(said))

        try:
            self._run(work())
        except ChangesRefused as refused:
            for problem in refused.problems[:200]:
                typer.echo(str(problem), err=True)
            _fail(f"{len(refused.problems)} problems: nothing was taken")
        return taken[0]


def _answered(kept: Compiled, question: Callable[[Compiled], Any]) -> Any:
    try:
        return question(kept)
    except (PlantError, SorError) as error:
        _fail(str(error))


def _fail(text: str) -> None:
    typer.echo(f"utaa: {text}", err=True)
    raise typer.Exit(1)


def _print(said: Any, as_json: bool, lines: Callable[[Any], list[str]]) -> None:
    typer.echo(json.dumps(said, ensure_ascii=False) if as_json else "\n".join(lines(said)))


def add_commands(app: typer.Typer, desk: Desk, run: Run) -> None:
    """Add the plant's commands to ``utaa registry``."""
    console = _Console(desk, run)
    _add_ways(app, console)
    _add_losses(app, console)
    _add_paper(app, console)
    _add_files(app, console)


def _add_ways(app: typer.Typer, console: _Console) -> None:
    @app.command("trace")
    def trace(
        end: End, to: To = None, nm: Wavelength = 1310,
        svg: Annotated[Path | None, typer.Option(help="also draw it into this file")] = None,
        as_json: AsJson = False, config: Config = None,
    ) -> None:  # fmt: skip
        """The whole way of a strand or port, both ways, hop by hop."""
        if svg is not None:
            drawing = console.ask(config, lambda kept: answers.drawing(kept, end, to, nm))
            svg.write_text(drawing, encoding="utf-8")
        said = console.ask(config, lambda kept: answers.trace(kept, end, to, nm, None))
        _print(said, as_json, _trace_lines)

    @app.command("budget")
    def budget(
        end: End, to: To = None, nm: Wavelength = 1310,
        target: Annotated[float | None, typer.Option(help="dB it may lose; else GPON B+")] = None,
        as_json: AsJson = False, config: Config = None,
    ) -> None:  # fmt: skip
        """The loss of a way, whether it is well within what it may be, and what would mend it."""
        said = console.ask(config, lambda kept: answers.trace(kept, end, to, nm, target)["budget"])
        _print(said, as_json, _budget_lines)

    @app.command("free-way")
    def free_way(
        a: Annotated[str, typer.Argument(help="node")], b: Annotated[str, typer.Argument(help="node")],
        nm: Wavelength = 1310, as_json: AsJson = False, config: Config = None,
    ) -> None:  # fmt: skip
        """Strands from node to node that nothing is joined to."""
        said = console.ask(config, lambda kept: answers.free_way(kept, a, b, nm))
        _print(
            said, as_json,
            lambda found: [
                f"{leg['a']} → {leg['b']}  {leg['cable']}/{leg['strand']}"
                f"  {leg['tube_colour']}/{leg['strand_colour']}  {leg['length_m']:.0f} m"
                for leg in found["legs"]
            ] + _budget_lines(found["budget"]),
        )  # fmt: skip


def _add_losses(app: typer.Typer, console: _Console) -> None:
    @app.command("impact")
    def impact(
        elements: Annotated[list[str], typer.Argument(help="trench:T1, cable:C1, node:N1, …")],
        as_json: AsJson = False,
        config: Config = None,
    ) -> None:
        """Who loses the connection when these fail together."""
        said = console.ask(config, lambda kept: answers.impact(kept, elements))
        _print(said, as_json, _impact_lines)

    @app.command("locate")
    def locate(
        lost: Annotated[list[str], typer.Argument(help="camera:ID, site:ID, …; or @FILE, one a line")],
        as_json: AsJson = False,
        config: Config = None,
    ) -> None:
        """Where the cut is that explains these losses."""
        named = [name for word in lost for name in _names(word)]
        said = console.ask(config, lambda kept: answers.locate(kept, named))
        _print(said, as_json, _locate_lines)

    @app.command("redundancy")
    def redundancy(
        kind: Annotated[str, typer.Option(help="organisation, camera, site, pop")] = "organisation",
        second: Annotated[
            str | None, typer.Option("--second-way", help="SUBJECT that is to get a second way")
        ] = None,
        limit: Annotated[int, typer.Option(min=1)] = 50,
        as_json: AsJson = False,
        config: Config = None,
    ) -> None:
        """Who hangs on a single way; or the shortest route that would give somebody a second one."""
        if second is not None:
            said = console.ask(config, lambda kept: answers.second_way(kept, second))
            _print(said, as_json, lambda found: [f"{name}: {value}" for name, value in found.items()])
            return
        said = console.ask(config, lambda kept: answers.redundancy(kept, kind, limit))
        _print(said, as_json, _redundancy_lines)

    @app.command("otdr")
    def otdr(
        end: End,
        file: Annotated[Path | None, typer.Argument(help="SOR file")] = None,
        distance_m: Annotated[float | None, typer.Option("--metres", help="instead of a file")] = None,
        as_json: AsJson = False,
        config: Config = None,
    ) -> None:
        """An OTDR's distance as a point on the map, slack taken off."""
        content = file.read_bytes() if file is not None else b""
        said = console.ask(config, lambda kept: answers.otdr(kept, end, content, distance_m))
        _print(said, as_json, lambda found: [f"{k}: {v}" for k, v in found["place"].items()])


def _add_paper(app: typer.Typer, console: _Console) -> None:
    @app.command("splice-plan")
    def splice_plan(
        node: Annotated[str, typer.Argument(help="closure, cabinet, POP, …")],
        out: Annotated[Path | None, typer.Option(help="PDF to write")] = None,
        as_json: AsJson = False,
        config: Config = None,
    ) -> None:
        """What is joined at a node, with colours; on paper with --out."""
        said = console.ask(config, lambda kept: answers.splice_plan(kept, node))
        if out is not None:
            out.write_bytes(pdf("splice_plan", said, at_us=time.time_ns() // 1000))
        _print(said, as_json, _plan_lines)


def _add_files(app: typer.Typer, console: _Console) -> None:
    @app.command("fibre-import")
    def fibre_import(
        file: Annotated[Path, typer.Argument(help=".geojson, .xlsx, .json (OFDS or operations)")],
        dry_run: Annotated[bool, typer.Option("--dry-run", help="check, take nothing")] = False,
        as_json: AsJson = False,
        config: Config = None,
    ) -> None:
        """Take a plant from a file: all of it or nothing."""
        content = file.read_bytes()
        notes: list[str] = []

        def read(kept: Compiled) -> list[dict[str, Any]]:
            said, told = _operations(file.suffix, content, kept)
            notes.extend(told)
            return said

        taken = console.take(config, read, dry_run)
        said = {"taken": taken, "dry_run": dry_run, "notes": notes}
        _print(
            said, as_json,
            lambda _: [f"{taken} operations {'would be taken' if dry_run else 'taken'}", *notes],
        )  # fmt: skip

    @app.command("fibre-export")
    def fibre_export(
        file: Annotated[Path, typer.Argument(help=".geojson, .xlsx, or .json for OFDS 0.3")],
        config: Config = None,
    ) -> None:
        """Write the plant into a file."""
        file.write_bytes(console.ask(config, lambda kept: _exported(file.suffix, kept)))


def _operations(suffix: str, content: bytes, kept: Compiled) -> tuple[list[dict[str, Any]], list[str]]:
    if suffix == ".xlsx":
        return whole.read_workbook(content), []
    if suffix == ".geojson":
        return geojson.read_features(content, kept.plant)
    try:
        said = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"no JSON: {str(error)[:100]}") from None
    return (said, []) if isinstance(said, list) else geojson.read_ofds(content, kept.plant)


def _exported(suffix: str, kept: Compiled) -> bytes:
    if suffix == ".xlsx":
        return whole.workbook(kept.plant)
    if suffix == ".geojson":
        return json.dumps(geojson.features(kept.plant)).encode()
    return json.dumps(geojson.ofds(kept.plant, name="Utaa", publisher="Utaa")).encode()


def _names(word: str) -> list[str]:
    if not word.startswith("@"):
        return [word]
    return [line.strip() for line in Path(word[1:]).read_text("utf-8").splitlines() if line.strip()]


def _trace_lines(said: dict[str, Any]) -> list[str]:
    lines = []
    for hop in said["hops"]:
        colours = f"  {hop['tube_colour']}/{hop['strand_colour']}" if "tube_colour" in hop else ""
        length = f"  {hop['length_m']:.0f} m" if "length_m" in hop else ""
        where = " → ".join(hop["nodes"])
        lines.append(
            f"{hop['kind']:12} {hop['ref']:28} {where}{colours}{length}  {hop['loss_db']:.2f} dB"
        )
    lines += [f"! {each['kind']} at {each['at']}: {each['detail']}" for each in said["anomalies"]]
    lines.append(f"{said['a_stop']} … {said['z_stop']}, {said['length_m']:.0f} m")
    return lines + _budget_lines(said["budget"])


def _budget_lines(said: dict[str, Any]) -> list[str]:
    head = f"{said['loss_db']:.2f} dB of {said['target_db']:.2f} at {said['wavelength_nm']} nm"
    lines = [f"{head}: {said['verdict']}, {said['left_db']:.2f} dB left"]
    return lines + [f"  {m['kind']} {m['at']}: saves {m['saves_db']:.2f} dB" for m in said["mends"][:5]]


def _impact_lines(said: dict[str, Any]) -> list[str]:
    head = ", ".join(
        f"{said[kind]} {kind}" for kind in ("organisations", "cameras", "sites", "pops", "homes")
    )
    rows = [f"{each['criticality']}  {each['subject']}" for each in said["subjects"]]
    return [head, *rows]


def _locate_lines(said: dict[str, Any]) -> list[str]:
    lines = []
    for cause in said["causes"]:
        lines.append(f"explains {cause['explained']}:")
        for section in cause["sections"][:5]:
            named = zip(section["elements"][:6], section["shares"], strict=False)
            names = ", ".join(f"{name} ({100 * share:.0f} %)" for name, share in named)
            names = names or ", ".join(section["elements"][:6])
            more = f" and {', '.join(section['and_elements'][:3])}" if section["and_elements"] else ""
            share = 100 * section["confidence"]
            lines.append(f"  {share:5.1f} %  {names}{more}  at {section['point']}")
    return lines or ["nothing explains these losses better than chance"]


def _redundancy_lines(said: dict[str, Any]) -> list[str]:
    lines = [
        f"{said['on_a_single_way']} of {said['subjects']} hang on a single way;"
        f" {said['redundant_on_paper_only']} are redundant on paper only"
    ]
    for each in said["single"]:
        mark = " (on paper only)" if each["on_paper_only"] else ""
        lines.append(f"{each['criticality']}  {each['subject']}{mark}: {', '.join(each['risks'][:6])}")
    return lines


def _plan_lines(said: dict[str, Any]) -> list[str]:
    lines = [f"{said['node']} ({said['kind']})"]
    for joint in said["joints"]:
        a, b = joint["a"], joint["b"]
        lines.append(
            f"{joint['tray']:10} {a['key']:24} {a['tube']}/{a['strand']:10} {joint['kind']:11} "
            f"{b['key']:24} {b['tube']}/{b['strand']:10} {joint['loss_db']:.2f} dB"
        )
    return lines
