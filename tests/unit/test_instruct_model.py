"""The model port over an instruct model: start-up, windows, labels, names, summaries."""

import asyncio
import json

import pytest

from smallmesh.agent import Usage
from smallmesh.hosting.card import ModelError
from smallmesh.hosting.engine.port import Generated
from smallmesh.hosting.instruct.model import InstructModel
from smallmesh.hosting.prompts.pack import load_pack
from smallmesh.hosting.schema import SchemaError
from smallmesh_contracts import ContractError, ErrorCode, Lane
from tests.support.instruct import LABELS, NAMES, WRITES, FakeEngine, write_folder

LONG = " ".join(f"Sentence {n} says something." for n in range(20))


class Hosted:
    """A started model, its engine, and a reader of it."""

    def __init__(self, model, engine):
        self.model, self.engine = model, engine
        self.usage = Usage()

    def reader(self, **more):
        return self.model.reader(Lane.BULK, self.usage, **more)


@pytest.fixture
async def host(tmp_path):
    models = []

    async def start(pack, *, slots=8, says=None, **engine):
        made = FakeEngine(**engine)
        model = InstructModel(write_folder(tmp_path, pack, slots=slots), tmp_path, tmp_path, lambda _card, _path: made)
        models.append(model)
        await model.start()
        made.prompts.clear()
        made.asked.clear()
        made.reached.clear()
        made.says = says
        return Hosted(model, made)

    yield start
    for model in models:
        await model.stop()


def names(*pairs):
    return json.dumps({"entities": [{"text": text, "type": kind} for text, kind in pairs]}, ensure_ascii=False)


# ------------------------------------------------------------ start-up


async def test_the_shared_beginning_is_evaluated_before_the_first_request(tmp_path):
    engine = FakeEngine()
    model = InstructModel(write_folder(tmp_path, LABELS), tmp_path, tmp_path, lambda *_: engine)

    await model.start()

    assert len(engine.prompts) == 1
    assert engine.prompts[0].startswith("[[<|im_start|>]]system\nJudge.")


@pytest.mark.parametrize(
    ("pack", "engine", "said"),
    [
        (LABELS, {"template": None}, "model fake-instruct has no chat template"),
        (LABELS, {"template": "{{ raise_exception('no') }}"}, "the chat template of model fake-instruct refuses the conversation"),
        (LABELS, {"room": 200}, "has a context of 200 tokens; with this prompt pack it needs"),
        (LABELS.replace('"maybe"', '"yes, or no"'), {}, "labels.good: its words are the beginning of those of other"),
        (
            NAMES.replace('"Lea", "type": "PERSON"', '"Lea", "type": "DOG"'),
            {},
            "examples.0.output is no valid answer: /entities/0/type: literal_error",
        ),
        (NAMES.replace('{"entities": []}', '{"entities":[]}'), {}, "examples.1.output has another form than answers have"),
    ],
)
async def test_what_does_not_fit_together_is_refused_at_start_up_and_the_model_freed(tmp_path, pack, engine, said):
    made = FakeEngine(**engine)
    model = InstructModel(write_folder(tmp_path, pack), tmp_path, tmp_path, lambda *_: made)

    with pytest.raises(ModelError) as raised:
        await model.start()

    assert said in str(raised.value)
    assert made.stopped


async def test_a_model_whose_vocabulary_cannot_write_the_schema_is_refused(tmp_path):
    made = FakeEngine()
    made.vocabulary.pieces[ord("{")] = b"?"
    model = InstructModel(write_folder(tmp_path, NAMES), tmp_path, tmp_path, lambda *_: made)

    with pytest.raises(SchemaError):
        await model.start()


async def test_a_file_that_is_not_the_cards_is_never_opened(tmp_path):
    card = write_folder(tmp_path, LABELS)
    (tmp_path / "model.gguf").write_bytes(b"another model")
    engine = FakeEngine()

    with pytest.raises(ModelError, match="is not the one of its card"):
        await InstructModel(card, tmp_path, tmp_path, lambda *_: engine).start()

    assert not engine.started


async def test_a_model_that_cannot_be_loaded_is_an_error_of_the_model(tmp_path):
    class Broken(FakeEngine):
        async def start(self):
            raise RuntimeError("llama.cpp could not load it")

    engine = Broken()

    with pytest.raises(ModelError, match="could not load it"):
        await InstructModel(write_folder(tmp_path, LABELS), tmp_path, tmp_path, lambda *_: engine).start()

    assert engine.stopped


async def test_the_packs_folder_need_not_be_the_models(tmp_path):
    agent, pulled = tmp_path / "agent", tmp_path / "pulled"
    agent.mkdir(), pulled.mkdir()
    card = write_folder(pulled, LABELS)
    (pulled / "prompt.toml").rename(agent / "prompt.toml")

    model = InstructModel(card, pulled, agent, lambda *_: FakeEngine())
    await model.start()

    assert model.template_sha256


async def test_life_and_death_are_the_engines(host):
    hosted = await host(LABELS)
    why = RuntimeError("it hangs")

    hosted.model.abandon(why)

    assert hosted.engine.abandoned is why
    assert (hosted.model.passes, hosted.model.turn) == (hosted.engine.passes, None)


# ------------------------------------------------------------ labels


async def test_labels_have_the_probabilities_of_their_words(host):
    hosted = await host(LABELS, scores=lambda _: {"yes": 0.7, "no": 0.2, "maybe": 0.1})

    (window,) = await hosted.reader().classify("  Nice.  ")

    assert window.probabilities == pytest.approx({"good": 0.7, "bad": 0.2, "other": 0.1})
    assert (window.start, window.end, window.tokens) == (2, 7, 5)
    assert hosted.usage == Usage(windows=1, tokens=len(hosted.engine.asked[0].own))


async def test_what_was_measured_calibrates_them(host, tmp_path):
    (tmp_path / "prompt.toml").write_text(LABELS, encoding="utf-8")
    measured = f'\n[[calibration]]\nmodel = "fake-instruct"\nprompt = "{load_pack(tmp_path).version}"\ntemperature = 2.0\n'
    hosted = await host(LABELS + measured, scores=lambda _: {"yes": 0.64, "no": 0.16, "maybe": 0.16})

    (window,) = await hosted.reader().classify("Nice.")

    assert window.probabilities == pytest.approx({"good": 0.5, "bad": 0.25, "other": 0.25})


async def test_a_long_text_is_scored_window_by_window_in_the_order_of_the_text_and_several_at_a_time(host):
    hosted = await host(LABELS, slots=3, scores=lambda text: {"yes": 1.0} if "Sentence 0 " in text else {"no": 1.0})

    windows = await hosted.reader().classify(LONG)

    assert len(windows) > 5
    assert [max(w.probabilities, key=w.probabilities.get) for w in windows] == ["good"] + ["bad"] * (len(windows) - 1)
    assert [w.start for w in windows] == sorted(w.start for w in windows)
    assert hosted.engine.most_at_once == 3
    assert len({prompt.shared for prompt in hosted.engine.asked}) == 1


async def test_no_more_windows_are_read_than_wanted(host):
    hosted = await host(LABELS)

    windows = await hosted.reader().classify(LONG, max_windows=1)

    assert (len(windows), len(hosted.engine.prompts)) == (1, 1)


@pytest.mark.parametrize("text", ["", " \n ", "\x00\x01"])
async def test_a_text_without_a_word_is_refused(host, text):
    hosted = await host(LABELS)

    with pytest.raises(ContractError) as raised:
        await hosted.reader().classify(text)

    assert raised.value.info.code is ErrorCode.INVALID_REQUEST


async def test_the_first_window_that_fails_ends_the_others_and_is_the_error(host):
    def fails(text):
        if "Sentence 1 " in text:
            raise ContractError(ErrorCode.MODEL_FAILED, "broken")
        return {"yes": 1.0}

    hosted = await host(LABELS, slots=2, scores=fails)

    with pytest.raises(ContractError, match="broken"):
        await hosted.reader().classify(LONG)

    assert len(hosted.engine.prompts) <= 4


async def test_cancelling_a_request_ends_all_its_windows(host):
    hosted = await host(LABELS, slots=4, scores=lambda _: {"yes": 1.0})
    reading = asyncio.create_task(hosted.reader().classify(LONG * 10))
    await hosted.engine.reached.wait()

    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading

    asked = len(hosted.engine.prompts)
    await asyncio.sleep(0)
    assert len(hosted.engine.prompts) == asked


# ------------------------------------------------------------ names


async def test_names_are_generated_under_the_schema_and_found_in_the_text(host):
    hosted = await host(NAMES, says=lambda _: names(("Ana Ruiz", "PERSON"), ("Oslo", "LOCATION")))

    words = await hosted.reader().tag("Well,  Ana\nRuiz is in oslo.")

    assert [(w.start, w.end, w.label) for w in words] == [(7, 10, "B-PERSON"), (11, 15, "I-PERSON"), (22, 26, "B-LOCATION")]
    assert hosted.engine.prompts[0].endswith("Well, Ana\nRuiz is in oslo.[[<|im_end|>]]\n[[<|im_start|>]]assistant\n")


async def test_a_name_that_is_not_in_the_text_is_never_published(host):
    hosted = await host(NAMES, says=lambda _: names(("Nobody", "PERSON"), ("Ana", "PERSON")))

    words = await hosted.reader().tag("Ana sleeps.")

    assert [(w.start, w.end) for w in words] == [(0, 3)]


async def test_names_of_every_window_have_the_offsets_of_the_whole_text(host):
    hosted = await host(NAMES, says=lambda text: names(*((word, "PERSON") for word in text.split() if word.startswith("Ana"))))
    text = " ".join(f"Here is Ana{n} again." for n in range(20))

    words = await hosted.reader().tag(text)

    assert [text[w.start : w.end] for w in words] == [f"Ana{n}" for n in range(20)]
    assert len(hosted.engine.prompts) > 3


async def test_a_window_with_more_names_than_an_answer_holds_is_read_again_in_halves(host):
    text = " ".join(f"N{n:02}" for n in range(30))
    pack = NAMES.replace("window = 64", "window = 200")
    hosted = await host(pack, says=lambda shown: names(*((name, "PERSON") for name in shown.split()[:24])))

    words = await hosted.reader().tag(text)

    assert [text[w.start : w.end] for w in words] == text.split()


async def test_an_answer_that_was_cut_off_is_asked_for_again_in_halves(host):
    text = "Alpha Beta Gamma Delta Epsilon Zeta Eta Theta. Iota Kappa Lambda My Ny Xi Omikron Pi. Rho Sigma Tau Ypsilon Phi Chi Psi Omega."
    pack = NAMES.replace("window = 64", "window = 200").replace("max_tokens = 2000", "max_tokens = 600")
    hosted = await host(pack, says=lambda shown: names(*((name.strip("."), "PERSON") for name in shown.split())))

    words = await hosted.reader().tag(text)

    assert [text[w.start : w.end] for w in words] == text.replace(".", "").split()


async def test_what_is_cut_off_however_short_the_window_is_invalid_output(host):
    hosted = await host(NAMES, says=lambda _: Generated('{"entities": [', (), 5, "limit"))

    with pytest.raises(ContractError) as raised:
        await hosted.reader().tag("Ana sleeps.")

    assert raised.value.info.code is ErrorCode.INVALID_OUTPUT


async def test_an_answer_that_is_not_valid_is_asked_for_once_more_with_what_is_wrong(host):
    said = iter([Generated('{"entities": [{"text": "Ana"}]}', (1.0,), 9, "end"), names(("Ana", "PERSON"))])
    hosted = await host(NAMES, says=lambda _: next(said))

    words = await hosted.reader().tag("Ana sleeps.")

    assert [(w.start, w.end, w.label) for w in words] == [(0, 3, "B-PERSON")]
    assert hosted.engine.asked[0].shared == hosted.engine.asked[1].shared
    assert hosted.engine.prompts[1].endswith(
        'Ana sleeps.[[<|im_end|>]]\n[[<|im_start|>]]assistant\n{"entities": [{"text": "Ana"}]}[[<|im_end|>]]\n'
        "[[<|im_start|>]]user\nThat answer is not valid: /entities/0/type: missing. "
        "Give the whole answer again in the right form, and nothing else.[[<|im_end|>]]\n[[<|im_start|>]]assistant\n"
    )


async def test_a_second_answer_that_is_not_valid_is_a_typed_failure_without_the_texts_words(host):
    hosted = await host(NAMES, says=lambda _: Generated('{"people": ["Ana"]}', (1.0,), 9, "end"))

    with pytest.raises(ContractError) as raised:
        await hosted.reader().tag("Ana sleeps.")

    assert raised.value.info.code is ErrorCode.INVALID_OUTPUT
    assert "Ana" not in raised.value.info.message
    assert len(hosted.engine.prompts) == 2


async def test_what_a_model_wrote_stays_plain_text_where_it_is_shown_again(host):
    said = iter([Generated("<|im_end|>", (1.0,), 1, "end"), names()])
    hosted = await host(NAMES, says=lambda _: next(said))

    await hosted.reader().tag("Ana sleeps.")

    assert "[[<|im_start|>]]assistant\n<|im_end|>[[<|im_end|>]]" in hosted.engine.prompts[1]


# ------------------------------------------------------------ summaries


async def test_a_text_of_one_window_is_written_about_once_and_heard_as_it_is_written(host):
    heard = []
    hosted = await host(WRITES, says=lambda _: " All is well. ")

    written = await hosted.reader(on_text=heard.append).write("Ada came. All was well.", sentences=2)

    assert (written, heard) == ("All is well.", [" All is well. "])
    assert hosted.engine.prompts[0].endswith("user\nSentences: 2\nText: Ada came. All was well.[[<|im_end|>]]\n[[<|im_start|>]]assistant\n")


async def test_a_longer_text_is_written_about_window_by_window_and_then_what_was_written_is(host):
    heard = []
    hosted = await host(WRITES, says=lambda text: "Whole." if "Part" in text else "Part.")

    written = await hosted.reader(on_text=heard.append).write(LONG, sentences=1)

    *parts, last = hosted.engine.prompts
    assert all("Text: Sentence " in part for part in parts)
    assert "Text: " + "\n".join(["Part."] * len(parts)) + "[[" in last
    assert (written, heard) == ("Whole.", ["Whole."]), "parts are not what was asked for, and are not heard"


async def test_writing_comes_to_an_end_even_where_summaries_are_as_long_as_they_may_be(host):
    hosted = await host(WRITES, says=lambda _: "word " * 200)

    written = await hosted.reader().write(LONG * 5, sentences=1)

    assert written.startswith("word word")


async def test_summaries_that_are_as_long_as_their_texts_are_a_typed_failure(host):
    hosted = await host(WRITES, says=lambda _: Generated("word " * 30, (), 30, "end"))

    with pytest.raises(ContractError) as raised:
        await hosted.reader().write(LONG, sentences=1)

    assert raised.value.info.code is ErrorCode.INVALID_OUTPUT


@pytest.mark.parametrize(("said", "kept"), [("One. Two. Thr", "One. Two."), ("One and tw", "One and tw \u2026")])
async def test_a_sentence_that_was_cut_off_is_left_out_unless_it_is_the_only_one(host, said, kept):
    hosted = await host(WRITES, says=lambda _: Generated(said, (1.0,), 5, "limit"))

    assert await hosted.reader().write("Ada came.", sentences=3) == kept


@pytest.mark.parametrize("said", ["", " \n", "..."])
async def test_a_model_that_writes_nothing_is_a_typed_failure(host, said):
    hosted = await host(WRITES, says=lambda _: said)

    with pytest.raises(ContractError) as raised:
        await hosted.reader().write("Ada came.", sentences=1)

    assert raised.value.info.code is ErrorCode.INVALID_OUTPUT


# ------------------------------------------------------------ what a model cannot do


@pytest.mark.parametrize(
    ("pack", "ask", "said"),
    [
        (LABELS, lambda reader: reader.tag("x"), "cannot tag"),
        (LABELS, lambda reader: reader.write("x"), "cannot write"),
        (LABELS, lambda reader: reader.embed(["x"]), "cannot embed: it is an instruct model"),
        (NAMES, lambda reader: reader.classify("x"), "cannot classify"),
        (NAMES, lambda reader: reader.write("x"), "cannot write"),
        (WRITES, lambda reader: reader.tag("x"), "cannot tag"),
    ],
)
async def test_what_the_pack_does_not_ask_for_is_refused(host, pack, ask, said):
    hosted = await host(pack)

    with pytest.raises(ContractError, match=said) as raised:
        await ask(hosted.reader())

    assert raised.value.info.code is ErrorCode.MODEL_FAILED


@pytest.mark.parametrize(("pack", "writes"), [(LABELS, False), (NAMES, False), (WRITES, True)])
async def test_only_a_pack_that_generates_text_writes(host, pack, writes):
    hosted = await host(pack)

    assert hosted.reader().writes is hosted.model.writes is writes
