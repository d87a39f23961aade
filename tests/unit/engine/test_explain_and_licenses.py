from portal.engine import licenses
from portal.engine.explain import SENTENCES, SPARED, UNDONE, reason_sentence, why
from portal.engine.records import Action, Decision, Reason, Spared, Undone


def test_P6_every_reason_has_words():
    assert set(SENTENCES) == set(Reason)
    assert all(text.endswith(".") for text in SENTENCES.values())
    assert (set(UNDONE), set(SPARED)) == (set(Undone), set(Spared))


def test_P6_a_detail_follows_its_reason():
    assert (
        why(Decision("a", Action.SKIP, Reason.BAD_RECORD, note="no id"))
        == "Skipped: Microsoft's record cannot be used. (no id)"
    )
    assert reason_sentence("from a newer version") == "from a newer version"


def test_D3_products_are_named_by_sku_id_then_part_number_then_id():
    assert licenses.product_name("CBDC14AB-D96C-4C30-B9F4-6ADA7CDC1D46") == "Microsoft 365 Business Premium"
    assert licenses.product_name("x", "PART_7") == "PART_7"
    assert licenses.product_name("x") == "x"
    assert licenses.product_names(["b", "a"], {"a": "Alpha", "b": "Alpha"}) == ["Alpha"]
