"""Specs: how they are read, and the one form in which equal ones are written."""

import keyword

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffusion_jax.errors import UserError
from diffusion_jax.process.schedules import schedules
from diffusion_jax.registry import Spec, canonical, parse


class TestParse:
    def test_names_and_settings(self) -> None:
        spec = parse(" edm( sigma_max = 50., kind='a b', flag=True, sizes=(1, -2), far=-inf ) ")
        settings = {"sigma_max": 50.0, "kind": "a b", "flag": True, "sizes": (1, -2)}
        assert spec == Spec("edm", settings | {"far": float("-inf")})
        assert parse("cosine") == parse("cosine()") == Spec("cosine", {})

    def test_nested_specs(self) -> None:
        nested = parse("log_snr_shift(schedule=edm(sigma_max=5), shift=1)").settings["schedule"]
        assert nested == Spec("edm", {"sigma_max": 5})

    @pytest.mark.parametrize(
        "text",
        [
            "",
            " ",
            "3",
            "'cosine'",
            "edm(50)",
            "edm(sigma_max=)",
            "edm(sigma_max=50",
            "edm(sigma_max=1, sigma_max=2)",
            "edm(**{'sigma_max': 1})",
            "edm(*(1, 2))",
            "edm; cosine",
            "edm.cosine",
            "edm()()",
            "a + b",
            "edm(sigma_max=-cosine)",
            "edm(sigma_max=1 + x)",
            "edm(sigma_max=[x for x in y])",
            "edm(sigma_max=" + "1" * 5000 + ")",
            "-" * 5000 + "1",
            "(" * 500,
            "edm\0",
        ],
    )
    def test_nonsense_is_refused_in_one_line(self, text: str) -> None:
        with pytest.raises(UserError, match="Cannot read") as caught:
            parse(text)
        assert len(str(caught.value).splitlines()) == 1
        assert len(str(caught.value)) < 400

    @pytest.mark.parametrize(
        "text",
        [
            "__import__('os').system('touch {}')",
            "edm(sigma_max=__import__('os').system('touch {}'))",
            "edm(sigma_max=open('{}', 'w'))",
            "(lambda: open('{}', 'w'))()",
            "edm(sigma_max=().__class__.__base__.__subclasses__())",
            'edm(sigma_max=f\'{{open("{}", "w")}}\')',
        ],
    )
    def test_code_is_never_run(self, text: str, tmp_path) -> None:  # type: ignore[no-untyped-def]
        trap = tmp_path / "trap"
        with pytest.raises(UserError):
            schedules.make(text.format(trap))
        assert not trap.exists()

    @given(st.text(max_size=60))
    def test_any_text_is_a_spec_or_a_user_error(self, text: str) -> None:
        try:
            spec = parse(text)
        except UserError:
            return
        assert spec.name.isidentifier()

    @given(
        name=st.from_regex(r"[a-z_]{1,10}", fullmatch=True).filter(
            lambda word: word != "inf" and not keyword.iskeyword(word)
        ),
        settings=st.dictionaries(
            st.from_regex(r"x[a-z0-9_]{0,8}", fullmatch=True),
            st.one_of(
                st.integers(-(2**40), 2**40),
                st.floats(allow_nan=False, allow_infinity=False),
                st.booleans(),
                st.text(max_size=8),
                st.tuples(st.integers(0, 9), st.integers(0, 9)),
            ),
            max_size=4,
        ),
    )
    def test_what_is_written_is_what_is_read(self, name: str, settings: dict) -> None:
        written = ", ".join(f"{key}={value!r}" for key, value in settings.items())
        assert parse(f"{name}({written})") == Spec(name, settings)


class TestCanonical:
    @pytest.mark.parametrize(
        "same",
        [
            ("cosine", "cosine()", " cosine ( ) "),
            ("edm(sigma_min=1e-3)", "edm(sigma_min=0.001)", "edm( sigma_min = .0010 )"),
            ("edm(sigma_max=50)", "edm(sigma_max=50.0)"),
            ("edm(sigma_max=50, sigma_min=1)", "edm(sigma_min=1, sigma_max=50)"),
            ("log_snr_shift(schedule=edm(), shift=1)", "log_snr_shift(shift=1.0, schedule=edm)"),
            ("ancestral(variance=large)", "ancestral(variance='large')"),
            ("unet(channels=[8, 16])", "unet(channels=(8, 16))"),
        ],
    )
    def test_equal_specs_are_one_text(self, same: tuple[str, ...]) -> None:
        assert len({canonical(text) for text in same}) == 1

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("cosine", "sigmoid"),
            ("edm(sigma_max=50)", "edm(sigma_max=50.000001)"),
            ("a(b=True)", "a(b=1)"),
            ("a(b='None')", "a(b=None)"),
            ("a(b='inf')", "a(b=inf)"),
            ("a(b=(8,))", "a(b=8)"),
            ("runs/one:a", "runs/one :a"),
        ],
    )
    def test_others_are_not(self, one: str, other: str) -> None:
        assert canonical(one) != canonical(other)

    def test_what_is_no_spec_stays(self) -> None:
        plain = {"a": "runs/one:edm", "b": [0.5, None, True, "3.0"], "c": {"d": "cosine()"}}
        assert canonical(plain) == {**plain, "c": {"d": "cosine"}}

    @given(
        st.dictionaries(
            st.from_regex(r"x[a-z]{0,4}", fullmatch=True),
            st.one_of(
                st.integers(-(2**40), 2**40),
                st.floats(allow_nan=False),
                st.booleans(),
                st.text(max_size=6),
                st.tuples(st.integers(0, 9)),
            ),
            max_size=3,
        )
    )
    def test_it_is_read_as_its_equal(self, settings: dict) -> None:
        text = f"a({', '.join(f'{key}={value!r}' for key, value in settings.items())})"
        assert canonical(canonical(text)) == canonical(text)
        read = parse(canonical(text)).settings
        # A word may stand without quotes, where it reads as the name of a part.
        assert {k: v.name if isinstance(v, Spec) else v for k, v in read.items()} == settings
