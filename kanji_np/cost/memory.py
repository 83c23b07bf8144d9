from pathlib import Path
TABLES = Path(__file__).parent / "tables" / "code"
FORMAT = 1
GENERATED_NEEDS = ("memcpy",)
