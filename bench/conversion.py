"""What it costs to convert a published NASBench-101 file, and to use the table. `python -m bench.conversion`.

The file is made here, by tensorflow, in the published format and with every cell of the space in its order; its numbers are
made up. It is read by the command itself, in a process of its own, whose peak memory is what the system says of it.
It ends with 1 where that is not below 1 GB.
"""

import argparse
import base64
import gzip
import json
import os
import resource
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import numpy as np

from bananas_core.spaces import parse_architecture
from bananas_core.spaces.nasbench101 import OPERATIONS
from bananas_tables import load_table
from bench.machine import keep, machine
from bench.tables import DATA

RECORDS: Final = 1_000_000
MOST_MEGABYTES: Final = 1000.0
"""Peak memory that the conversion of a million records must stay below."""
LOOK_UPS: Final = 2_000
REPEATS: Final = 5


def make(path: Path, records: int) -> None:
    """Writes so many records: three runs of each cell with 108 epochs, all first runs first."""
    import tensorflow as tf  # noqa: PLC0415 - in a process of its own

    from bananas_tables.nasbench101_records import _model_metrics  # noqa: PLC0415

    message_class, _ = _model_metrics()
    rng = np.random.default_rng(0)
    cells = gzip.decompress((DATA / "nasbench101_cells.tsv.gz").read_bytes()).decode().split("\n")
    many = -(-records // 3)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for number in range(3 * many):
            name, vertices, upper, codes = cells[number % many].split("\t")
            size, digits = int(vertices), iter(upper)
            adjacency = "".join(next(digits) if j > i else "0" for i in range(size) for j in range(size))
            ops = ",".join(["input", *(OPERATIONS[int(code)] for code in codes.strip("-")), "output"])
            values = rng.random((3, 4), dtype=np.float32).astype(float).tolist()
            message = message_class(trainable_parameters=int(name[:5], 16) + 1, total_time=1.5)
            for epoch, (seconds, train, validation, test) in zip((0.0, 54.0, 108.0), values, strict=True):
                message.evaluation_data.add(
                    current_epoch=epoch,
                    training_time=seconds * 2000,
                    train_accuracy=train,
                    validation_accuracy=validation,
                    test_accuracy=test,
                    checkpoint_path="",
                )
            encoded = base64.b64encode(message.SerializeToString()).decode()
            writer.write(json.dumps([name, 108, adjacency, ops, encoded]).encode())


def converted(published: Path, out: Path) -> dict[str, float]:
    """Seconds by the clock and of processor, and peak memory, MB, of the command."""
    start = perf_counter()
    process = subprocess.Popen([sys.executable, "-c", "from bananas_predictor.command import app; app()",
                                "convert-nasbench101", str(published), str(out)], stdout=sys.stderr)  # fmt: skip
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"bananas convert-nasbench101 ended with {os.waitstatus_to_exitcode(status)}")
    return {
        "seconds": perf_counter() - start,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_megabytes": usage.ru_maxrss * 1024 / 1e6,
    }


def used(table_path: Path) -> dict[str, float]:
    """Seconds to load the table, microseconds of a look-up, and peak memory, MB, of this process."""
    times = []
    for _ in range(REPEATS):
        start = perf_counter()
        table = load_table("nasbench101", table_path)
        times.append(perf_counter() - start)
    rng = np.random.default_rng(1)
    lines = gzip.decompress((DATA / "nasbench101_cells.tsv.gz").read_bytes()).decode().split("\n")
    asked = []
    for row in rng.integers(len(table), size=LOOK_UPS):
        _, _, upper, codes = lines[row].split("\t")
        asked.append(parse_architecture("nasbench101", f"{upper}:{codes.strip('-')}"))
    start = perf_counter()
    for architecture in asked:
        table.look_up(architecture)
    looked = (perf_counter() - start) / LOOK_UPS * 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    return {"load_seconds": float(np.median(times)), "look_up_microseconds": looked, "peak_megabytes": peak}


def main() -> None:
    """Measures, and writes JSON and a table."""
    parser = argparse.ArgumentParser(description="Times the conversion of a published NASBench-101 file.")
    parser.add_argument("--records", type=int, default=RECORDS)
    parser.add_argument("--quick", action="store_true", help="a twentieth of the records")
    parser.add_argument("--make", type=Path, help="only write the file of records there")
    parser.add_argument("--use", type=Path, help="only measure a table")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    records = options.records // 20 if options.quick else options.records
    if options.make:
        make(options.make, records)
        return
    if options.use:
        print(json.dumps(used(options.use)))
        return
    result: dict[str, Any] = {
        "command": " ".join(["python -m bench.conversion", *sys.argv[1:]]),
        "machine": machine(),
        "load_at_start": os.getloadavg(),
        "versions": {name: version(name) for name in ("bananas-tables", "numpy", "protobuf", "tensorflow")},
        "records": 3 * -(-records // 3),
    }
    with tempfile.TemporaryDirectory() as folder:
        published, table = Path(folder) / "made.tfrecord", Path(folder) / "table.npz"
        again = [sys.executable, "-m", "bench.conversion", "--records", str(records)]
        subprocess.run([*again, "--make", published], check=True)
        result["conversion"] = converted(published, table)
        result["published_megabytes"] = published.stat().st_size / 1e6
        result["table_megabytes"] = table.stat().st_size / 1e6
        done = subprocess.run([*again, "--use", table], check=True, capture_output=True, text=True)
        result["use"] = json.loads(done.stdout)
    conversion, use = result["conversion"], result["use"]
    result["reached"] = conversion["peak_megabytes"] < MOST_MEGABYTES
    verdict = "reached" if result["reached"] else "MISSED"
    lines = [
        f"# Conversion of NASBench-101 files\n\n`{result['command']}`, {result['machine']['processor']}, "
        f"load {result['load_at_start'][0]:.1f} at the start.\n",
        "| | |",
        "|---|---|",
        f"| records, size of the file | {result['records']:,}, {result['published_megabytes']:.0f} MB |",
        f"| conversion, start of tensorflow included | {conversion['seconds']:.0f} s, "
        f"{conversion['cpu_seconds']:.0f} s of processor |",
        f"| peak memory of the conversion | {conversion['peak_megabytes']:.0f} MB, "
        f"want < {MOST_MEGABYTES:.0f}: {verdict} |",
        f"| size of the table | {result['table_megabytes']:.0f} MB |",
        f"| loading the table | {use['load_seconds']:.2f} s |",
        f"| a look-up, the hash of the graph included | {use['look_up_microseconds']:.0f} µs |",
        f"| peak memory of a process that looks up | {use['peak_megabytes']:.0f} MB |",
    ]
    stem = "tables-quick" if options.quick else "tables"
    keep(options.out, stem, result, lines)
    if not result["reached"]:
        sys.exit(f"peak memory of the conversion: {conversion['peak_megabytes']:.0f} MB; want < {MOST_MEGABYTES:.0f}")


if __name__ == "__main__":
    main()
