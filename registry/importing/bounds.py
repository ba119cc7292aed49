"""How large an imported file may be. Reaching a bound refuses the whole file before it is read
further.
"""

from __future__ import annotations

from typing import Final

#: A file as it comes: 70,000 cameras are about 8 MB as XLSX and 20 MB as CSV.
MAX_FILE_BYTES: Final = 64 << 20
#: What is inside a zipped file, unpacked: 70,000 cameras are about 120 MB of XML.
MAX_UNZIPPED_BYTES: Final = 512 << 20
#: Unpacked ÷ packed of one part: spreadsheets have 5 to 40, zip bombs 1,000.
MAX_RATIO: Final = 200
#: A part smaller than this may have any ratio.
SMALL_PART_BYTES: Final = 1 << 20
#: Parts of a zipped file: a workbook has a few dozen.
MAX_PARTS: Final = 1_000
#: A capital's homes, and as many again.
MAX_ROWS: Final = 500_000
MAX_COLUMNS: Final = 200
#: Characters of one cell; a spreadsheet's own limit is 32,767.
MAX_CELL: Final = 32_767
#: Problems told at once; the rest are counted.
MAX_PROBLEMS: Final = 5_000


class FileRefused(ValueError):
    """The file as a whole cannot be taken. ``code`` is closed, a key of the catalogue."""

    def __init__(self, code: str, **values: object) -> None:
        super().__init__(code)
        self.code = code
        self.values = values

    def __str__(self) -> str:
        from registry.importing.texts import text_of  # the catalogue is read when first needed

        return text_of("en", self.code, **self.values)
