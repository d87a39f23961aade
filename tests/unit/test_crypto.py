"""Stored secrets (C1): a stolen database file alone reveals none, and a moved ciphertext does not open."""

import pytest

from portal.crypto import CannotDecrypt, SecretBox


def test_C1_what_is_stored_does_not_show_the_secret():
    sealed = SecretBox(["key"]).encrypt("s3cret value", purpose="settings:microsoft")
    assert "s3cret" not in sealed
    assert SecretBox(["key"]).decrypt(sealed, purpose="settings:microsoft") == "s3cret value"


def test_C1_another_key_does_not_open_it_and_says_what_to_do():
    sealed = SecretBox(["key"]).encrypt("x", purpose="a")
    with pytest.raises(CannotDecrypt, match="ROLLCALL_OLD_SECRET_KEYS"):
        SecretBox(["other"]).decrypt(sealed, purpose="a")


def test_C1_a_ciphertext_moved_to_another_purpose_does_not_open():
    box = SecretBox(["key"])
    with pytest.raises(CannotDecrypt):
        box.decrypt(box.encrypt("x", purpose="settings:microsoft"), purpose="totp:1")


def test_C1_keys_can_be_rotated():
    sealed = SecretBox(["old"]).encrypt("x", purpose="a")
    box = SecretBox(["new", "old"])
    assert box.decrypt(sealed, purpose="a") == "x"
    assert not box.is_current(sealed)
    assert box.is_current(box.encrypt("x", purpose="a"))


@pytest.mark.parametrize("damaged", ["", "v1", "v1:abc:!!!", "v2:00000000:AAAA", "v1:00000000:AAAA"])
def test_damaged_values_are_refused_in_words(damaged):
    with pytest.raises(CannotDecrypt):
        SecretBox(["key"]).decrypt(damaged, purpose="a")
