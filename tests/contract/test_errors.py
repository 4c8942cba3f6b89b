import pytest
from pydantic import ValidationError

from smallmesh_contracts import ContractError, ErrorCode, ErrorInfo, decode
from smallmesh_contracts.errors import RETRYABLE

CLOSED_LIST = """
    invalid_request id_conflict too_long unsupported_version unsupported_language unknown_answer unauthorized overloaded expired cancelled
    model_failed invalid_output not_marked class_forbidden budget_exhausted unavailable frontier_refused frontier_failed internal
"""
MAY_SUCCEED_LATER = {"overloaded", "unavailable", "internal", "frontier_failed"}


def test_the_list_of_codes_is_the_designs():
    assert [code.value for code in ErrorCode] == CLOSED_LIST.split()


def test_what_may_succeed_later_is_what_lies_with_us_and_not_with_the_request():
    assert {code.value for code in RETRYABLE} == MAY_SUCCEED_LATER


@pytest.mark.parametrize("code", ErrorCode)
def test_an_error_says_that_it_is_retryable_exactly_if_its_code_is(code):
    assert ContractError(code, "why").info.retryable == (code.value in MAY_SUCCEED_LATER)


def test_an_error_carries_all_that_a_program_and_a_person_need():
    error = ContractError(ErrorCode.OVERLOADED, "come back later", retry_after_s=0.5, step="ner")

    assert str(error) == "come back later"
    assert error.info == ErrorInfo(code=ErrorCode.OVERLOADED, message="come back later", retryable=True, retry_after_s=0.5, step="ner")


def test_an_error_travels_unchanged():
    info = ContractError(ErrorCode.TOO_LONG, "text has 7 bytes", step="ner").info

    assert decode(ErrorInfo, info.to_bytes()) == info


def test_a_code_that_a_newer_mesh_added_is_internal_to_its_reader_and_keeps_what_else_it_says():
    read = decode(ErrorInfo, b'{"code":"moon_phase","message":"wait","retryable":true,"retry_after_s":9.5,"step":"ner"}')

    assert read == ErrorInfo(code=ErrorCode.INTERNAL, message="wait", retryable=True, retry_after_s=9.5, step="ner")


def test_nobody_makes_an_error_of_a_code_that_is_not_in_the_list():
    with pytest.raises(ValidationError, match="code"):
        ErrorInfo.model_validate({"code": "moon_phase", "message": "wait"})


@pytest.mark.parametrize("code", ["5", "null", "[]", "true"])
def test_a_code_that_is_no_string_is_refused(code):
    with pytest.raises(ContractError, match="code") as refused:
        decode(ErrorInfo, f'{{"code":{code},"message":"wait"}}'.encode())

    assert refused.value.info.code is ErrorCode.INVALID_REQUEST
