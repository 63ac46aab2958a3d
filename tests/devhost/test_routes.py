"""Route templates: constraints and precedence."""

import pytest

from devhost.routes import RouteTable, compile_route
from devhost.settings import FunctionConfigurationError


def match(templates: list[str], path: str, method: str = "GET") -> tuple[str, dict[str, str]] | None:
    return RouteTable([compile_route(t, ["GET"], t) for t in templates]).match(method, path)


@pytest.mark.parametrize(
    ("template", "path", "values"),
    [
        ("api/plain", "/api/plain", {}),
        ("api/plain", "/API/Plain/", {}),
        ("items/{id}", "/items/7", {"id": "7"}),
        ("items/{id:int}", "/items/-7", {"id": "-7"}),
        ("items/{id:int?}", "/items", {}),
        ("items/{id?}", "/items/x", {"id": "x"}),
        ("files/{*path}", "/files/a/b.txt", {"path": "a/b.txt"}),
        ("files/{*path}", "/files", {}),
        ("{*path}", "/", {}),
        ("{*path}", "/v1/messages/m1", {"path": "v1/messages/m1"}),
        ("v{version}/x-{name}.json", "/v1/x-a.json", {"version": "1", "name": "a"}),
        ("who/{name}", "/who/J%C3%BCrgen", {"name": "Jürgen"}),
        ("who/{name}", "/who/a%2Fb", {"name": "a%2Fb"}),
        ("is/{yes:bool}", "/is/True", {"yes": "True"}),
        ("by/{id:guid}", "/by/0b1c2d3e-0000-4000-8000-000000000000", {"id": "0b1c2d3e-0000-4000-8000-000000000000"}),
    ],
)
def test_template_matches_the_paths_that_aspnet_matches(template: str, path: str, values: dict[str, str]) -> None:
    assert match([template], path) == (template, values)


@pytest.mark.parametrize(
    ("template", "path"),
    [
        ("items/{id:int}", "/items/x"),
        ("items/{id}", "/items"),
        ("items/{id}", "/items/1/2"),
        ("plain", "/plainer"),
        ("by/{id:guid}", "/by/7"),
    ],
)
def test_template_does_not_match_other_paths(template: str, path: str) -> None:
    assert match([template], path) is None


def test_wrong_method_does_not_match() -> None:
    assert match(["plain"], "/plain", "POST") is None


def test_template_without_methods_matches_every_method() -> None:
    table = RouteTable([compile_route("plain", [], "any")])
    assert table.match("BREW", "/plain") == ("any", {})


def test_one_path_can_have_a_target_for_each_method() -> None:
    table = RouteTable([compile_route("plain", ["get"], "reads"), compile_route("plain", ["post"], "writes")])
    assert table.match("POST", "/plain") == ("writes", {})


def test_most_specific_template_wins_in_any_order() -> None:
    templates = ["{*all}", "items/{id}", "items/{id:int}", "items/new"]
    found = [match(templates, path) for path in ("/items/new", "/items/7", "/items/x", "/other/place")]
    assert [hit[0] for hit in found if hit] == ["items/new", "items/{id:int}", "items/{id}", "{*all}"]


@pytest.mark.parametrize("template", ["items/{id:regex(^a$)}", "items/{id:int:min(1)}", "items/{", "a/{x=3}", "{a}{a}"])
def test_unsupported_syntax_is_refused_by_name(template: str) -> None:
    with pytest.raises(FunctionConfigurationError, match="route"):
        compile_route(template, [], None)
