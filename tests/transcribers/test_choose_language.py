from processor_service.transcribers.choose_language import likely_languages


def test_a_model_that_is_sure_is_believed() -> None:
    assert likely_languages({"de": 0.04, "en": 0.95, "cy": 0.01}) == ["en"]


def test_where_it_is_unsure_all_that_come_into_question_are_tried() -> None:
    assert likely_languages({"la": 0.01, "en": 0.32, "cy": 0.67}) == ["cy", "en"]


def test_there_is_always_one() -> None:
    assert likely_languages({"en": 0.02, "cy": 0.03}) == ["cy"]
