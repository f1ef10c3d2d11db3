"""What is imported when: the driver knows no Keras, and asking for help costs nothing."""

import subprocess
import sys

HEAVY = ("keras", "tensorflow", "jax", "torch", "keras_tuner")


def modules_after(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(' '.join(sys.modules))"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.splitlines()[-1].split())


def test_the_driver_imports_no_keras_tensorflow_or_jax() -> None:
    code = (
        "import hpsearch.cli.main, hpsearch.cli.live, hpsearch.cli.show, hpsearch.study, hpsearch.driver\n"
        "import hpsearch.executors.processes, hpsearch.tracking, hpsearch.export, hpsearch.ledger\n"
        "import hpsearch.tuners.optuna, hpsearch.tuners.keras_tuner"
    )
    assert not modules_after(code) & set(HEAVY)


def test_import_hpsearch_and_its_help_import_next_to_nothing() -> None:
    loaded = modules_after("import hpsearch, hpsearch.cli.main")
    assert not loaded & {*HEAVY, "numpy", "pandas", "optuna", "mlflow", "sklearn", "pydantic", "plotly", "sqlalchemy"}


def test_the_package_offers_its_api_and_nothing_by_accident() -> None:
    loaded = modules_after("import hpsearch; hpsearch.run; hpsearch.resume; hpsearch.load; hpsearch.Study")
    assert "hpsearch.study" in loaded
