"""Slicer's translators get every text: its own update_translations.py finds only literals in ``_(…)``."""

import ast
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def asked():
    """File and line of every text that is looked up in the user's language, and the text where it is a literal."""
    for module in ("DLCTPM", "DLCTPMTraining"):
        for path in sorted((REPOSITORY / module).rglob("*.py")):
            source = path.read_text(encoding="utf-8")
            if "from slicer.i18n import tr as _" not in source:
                continue
            for node in ast.walk(ast.parse(source)):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "_":
                    (argument,) = node.args
                    text = argument.value if isinstance(argument, ast.Constant) else None
                    yield f"{path.name}:{node.lineno}", text


def test_every_text_is_a_literal():
    found = list(asked())
    assert len(found) > 200
    assert [place for place, text in found if not isinstance(text, str)] == []


def test_no_text_ends_its_literal_early():
    """Slicer's script takes everything up to the first quotation mark that a bracket follows."""
    assert [place for place, text in asked() if '")' in text or "')" in text] == []
