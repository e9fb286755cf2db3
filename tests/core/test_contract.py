"""The contract with trainers: what is read, what is refused, what fits into a termination message."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bananas_core.contract import (
    MAX_COUNT,
    MAX_MESSAGE_BYTES,
    REASON_OF_EXIT_CODE,
    ExitCode,
    FailureReport,
    ProgressMessage,
    Report,
    TrialFile,
)
from bananas_core.errors import ContractError


@given(
    st.floats(0, 1),
    st.text(max_size=64),
    st.text("0123456789abcdef", max_size=80),
    st.integers(0, 10**12),
    st.integers(1, 10**6),
    st.integers(0, MAX_COUNT),
)
def test_a_report_survives_the_message_and_fits_into_it(
    accuracy: float, device: str, digest: str, parameters: int, attempt: int, seed: int
) -> None:
    want = Report(
        trial_uid="u" * 36,
        attempt=attempt,
        validation_accuracy=accuracy,
        device=device,
        data_digest=digest,
        parameters=parameters,
        multiply_adds=MAX_COUNT,
        epochs=MAX_COUNT,
        test_accuracy=accuracy,
        seconds=1e9 / 3,
        split_seed=seed,
    )
    message = want.to_message()
    assert Report.read(message) == want
    assert len(message.encode()) <= MAX_MESSAGE_BYTES


@given(st.text(max_size=5000))
def test_a_failure_of_any_length_fits_into_the_message(text: str) -> None:
    message = FailureReport(reason="DataInvalid", message=text).to_message()
    assert len(message.encode()) <= MAX_MESSAGE_BYTES
    got = FailureReport.read(message).message
    assert text.startswith(got.removesuffix("..."))


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("", "report: the whole: Invalid JSON"),
        ('{"kind": "bananas.report/v1"}', "report: trialUid: Field required"),
        (
            '{"trialUid": "u", "attempt": 1, "validationAccuracy": 93.1}',
            "report: validationAccuracy: Input should be less",
        ),
        ('{"trialUid": "u", "attempt": 1, "validationAccuracy": NaN}', "report: validationAccuracy: "),
        (
            '{"kind": "other", "trialUid": "u", "attempt": 1, "validationAccuracy": 0.5}',
            "report: kind: Input should be",
        ),
    ],
)
def test_a_broken_report_is_refused_with_the_field(text: str, want: str) -> None:
    with pytest.raises(ContractError) as caught:
        Report.read(text)
    assert want in str(caught.value)


@pytest.mark.parametrize("field", ["parameters", "multiplyAdds", "epochs"])
def test_a_count_that_the_api_server_cannot_store_is_refused_with_the_field(field: str) -> None:
    text = '{"trialUid": "u", "attempt": 1, "validationAccuracy": 0.5, "%s": %d}'
    assert Report.read(text % (field, MAX_COUNT))
    with pytest.raises(ContractError, match=f"report: {field}: Input should be less"):
        Report.read(text % (field, MAX_COUNT + 1))


@pytest.mark.parametrize("field", ["epoch", "epochs"])
def test_progress_that_the_api_server_cannot_store_is_refused_with_the_field(field: str) -> None:
    message = ProgressMessage(namespace="n", trial="s-0", trial_uid="u", attempt=1, epoch=1, epochs=2)
    text = message.model_dump_json(by_alias=True, exclude_none=True)
    huge = text.replace(f'"{field}":{getattr(message, field)}', f'"{field}":{MAX_COUNT + 1}')
    with pytest.raises(ContractError, match=f"progress message: {field}: Input should be less"):
        ProgressMessage.read(huge)


def test_a_report_of_a_newer_release_with_more_fields_is_read() -> None:
    assert (
        Report.read('{"trialUid": "u", "attempt": 1, "validationAccuracy": 0.5, "energy": 3}').validation_accuracy
        == 0.5
    )


def test_a_trial_file_with_an_unknown_field_is_refused_with_its_name() -> None:
    with pytest.raises(ContractError, match="trial file: extra: Extra inputs"):
        TrialFile.read(
            '{"namespace":"n","search":"s","trial":"s-0","trialUid":"u","attempt":1,"extra":1,'
            '"architecture":{"space":"nasbench201","nasbench201":{"ops":["none","none","none","none","none","none"]}}}'
        )


def test_every_exit_code_but_success_has_a_reason() -> None:
    assert set(REASON_OF_EXIT_CODE) == set(ExitCode) - {ExitCode.OK}
