"""The figures as tables."""

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table

from experiments.device.record import Record, figures
from experiments.device.section import Figures
from experiments.device.verdict import targets

WIDTH = 120


def show(record: Record, left: list[str], console: Console) -> None:
    """Prints all that was measured, what failed, what was not reached, and the verdict."""
    device = record["device"]
    versions = ", ".join(f"{name} {version}" for name, version in device["versions"].items())
    console.print(f"{device['device_kind']}: one of {device['devices']}, {device['processor']}")
    console.print(versions, highlight=False)
    if record["small"]:
        console.print(f"[bold]{record['form']}[/bold]")
    for table in _tables(record):
        if table.row_count:
            table.title = f"{table.title} (small form)" if record["small"] else table.title
            table.title_justify = "left"
            console.print(table)
    for name, own in record["sections"].items():
        if own["status"] == "failed":
            console.print(f"{name} failed: {own['reason']}", markup=False, highlight=False)
    if left:
        console.print(f"Not reached: {', '.join(left)}.", markup=False, highlight=False)


def _tables(record: Record) -> Iterator[Table]:
    yield _limits(record)
    yield _training(record)
    yield _beside(record)
    yield _arms(record)
    yield _sampling(record)
    yield _checks(record)
    yield _verdict(record)


def _limits(record: Record) -> Table:
    table = Table("limit", "measured", "maker's", "share", title="Limits of the device")
    for own in figures(record, "limits").values():
        maker = own["maker"] or {}
        rates = {name: maker.get(name) for name in ("bfloat16", "float32")}
        by_product = {"bfloat16": rates["bfloat16"], "tf32": rates["float32"], "float32": None}
        for name, product in own["products"].items():
            rate, most = product["flops_per_second"], by_product[name]
            shown = most and f"{_tera(most)} TFLOP/s"
            row = f"{name} product of side {own['side']}", f"{_tera(rate)} TFLOP/s"
            table.add_row(*row, shown or "", _share(rate, most))
        rate, most = own["copy"]["bytes_per_second"], maker.get("bandwidth")
        shown = f"{most / 1e9:.0f} GB/s" if most else ""
        table.add_row("read and written", f"{rate / 1e9:.0f} GB/s", shown, _share(rate, most))
    return table


def _training(record: Record) -> Table:
    table = Table(
        "section",
        "batch",
        "images/s",
        "ms a step (least–most)",
        "TFLOP/s",
        "MFU",
        "of product",
        "peak, GB",
        "counted, GB",
        title="Training steps",
    )
    limits = next(iter(figures(record, "limits").values()), None)
    for name, own in figures(record, "train_").items():
        table.add_row(
            name.removeprefix("train_"),
            str(own["batch"]),
            f"{own['images_per_second']:.0f}",
            _spread(own),
            _tera(own["flops_per_second"]),
            _percent(own["mfu"]),
            _share(own["flops_per_second"], _product(limits, own["dtype"])),
            _giga(own["bytes_peak"]),
            _giga(own["bytes_counted"]),
        )
    return table


def _product(limits: Figures | None, dtype: str) -> float | None:
    """FLOP/s of the product that a network in `dtype` is made of."""
    name = {"bfloat16": "bfloat16", "float32": "tf32"}[dtype]
    return None if limits is None else limits["products"][name]["flops_per_second"]


def _beside(record: Record) -> Table:
    heads = "section", "batch", "variant", "ms a step (least–most)", "times torch's speed"
    table = Table(*heads, title="Training steps beside PyTorch, in turn")
    for name, own in figures(record, "torch_").items():
        for variant, timing in own["variants"].items():
            ratio = own["times_faster"].get(variant)
            row = name.removeprefix("torch_"), str(own["batch"]), variant
            table.add_row(*row, _spread(timing), _ratio(ratio) if ratio else "")
        for reason in own["left_out"].values():
            table.add_row(name.removeprefix("torch_"), str(own["batch"]), reason, "", "")
    return table


def _arms(record: Record) -> Table:
    heads = "arms", "batch of each", "together, ms", "in turn, ms", "times faster"
    table = Table(*heads, title="A step of all arms, together and in turn")
    for own in figures(record, "arms_").values():
        table.add_row(
            f"{own['arms']} of {own['means']}, {own['dtype']}",
            str(own["batch"]),
            _spread(own["together"]),
            _spread(own["in_turn"]),
            _ratio(own["times_faster"]),
        )
    return table


def _sampling(record: Record) -> Table:
    heads = "section", "solver", "steps", "evaluations", "samples/s", "evaluations/s", "MFU"
    table = Table(*heads, title="Sampling")
    for name, own in figures(record, "sampling_").items():
        for solver, found in own["solvers"].items():
            table.add_row(
                f"{name.removeprefix('sampling_')}, {own['batch']} at once",
                solver,
                str(found["steps"]),
                str(found["evaluations"]),
                f"{found['samples_per_second']:.1f}",
                f"{found['evaluations_per_second']:.0f}",
                _percent(found["mfu"]),
            )
    return table


def _checks(record: Record) -> Table:
    table = Table("section", "result", title="Right on this device, and started again")
    for name in ("golden", "contracts"):
        for own in figures(record, name).values():
            counts = [f"{n} {what}" for what, n in own.items() if what != "failures"]
            table.add_row(name, "; ".join([", ".join(counts), *own.get("failures", [])]))
    for own in figures(record, "cache").values():
        both = f"first start {own['first']:.1f} s, second {own['second']:.1f} s"
        table.add_row("cache", f"{own['problem']}: {both}, {_percent(own['share'])}")
    return table


def _verdict(record: Record) -> Table:
    table = Table("target", "wanted", "found", "verdict", title="Verdict")
    for target in targets(record):
        hidden = record["small"] or target.found is None
        found = "" if hidden else f"{target.found:.2f}"
        table.add_row(target.means, f"{target.wanted:g}", found, target.verdict(record["small"]))
    return table


def _spread(timing: Figures) -> str:
    middle, least, most = (f"{1e3 * timing[name]:.3g}" for name in ("seconds", "least", "most"))
    return f"{middle} ({least}–{most})"


def _ratio(found: Figures) -> str:
    return f"{found['ratio']:.2f} ({found['least']:.2f}–{found['most']:.2f})"


def _tera(rate: float) -> str:
    return f"{rate / 1e12:.4g}"


def _giga(count: float | None) -> str:
    return "" if count is None else f"{count / 1e9:.2f}"


def _share(value: float, most: float | None) -> str:
    return "" if not most else _percent(value / most)


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f}%"
