"""ComfyUI's text-to-image nodes, and the judgement of a graph of them in ComfyUI's own words.

Refused     a graph that cannot be drawn, as the body of an answer 400
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from services.standins.picture import CELL, Wish

CHECKPOINT = "simulated.safetensors"
_LARGEST_SIDE = 4096
_SEED_LIMIT = 2**64 - 1
_LINK_LENGTH = 2  # the node that gives it, and which of what it gives
_INPUTS: dict[str, dict[str, tuple[Any, ...]]] = {
    "CheckpointLoaderSimple": {"ckpt_name": ([CHECKPOINT],)},
    "CLIPTextEncode": {"text": ("STRING", {"multiline": True}), "clip": ("CLIP",)},
    "EmptyLatentImage": {
        "width": ("INT", {"default": 512, "min": 16, "max": _LARGEST_SIDE, "step": CELL}),
        "height": ("INT", {"default": 512, "min": 16, "max": _LARGEST_SIDE, "step": CELL}),
        "batch_size": ("INT", {"default": 1, "min": 1, "max": 1}),
    },
    "KSampler": {
        "model": ("MODEL",),
        "seed": ("INT", {"default": 0, "min": 0, "max": _SEED_LIMIT}),
        "steps": ("INT", {"default": 20, "min": 1, "max": 10000}),
        "cfg": ("FLOAT", {"default": 8.0, "min": 0.0, "max": 100.0}),
        "sampler_name": (["euler", "euler_ancestral", "heun", "dpmpp_2m", "ddim"],),
        "scheduler": (["normal", "karras", "exponential", "simple"],),
        "positive": ("CONDITIONING",),
        "negative": ("CONDITIONING",),
        "latent_image": ("LATENT",),
        "denoise": ("FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0}),
    },
    "VAEDecode": {"samples": ("LATENT",), "vae": ("VAE",)},
    "SaveImage": {"images": ("IMAGE",), "filename_prefix": ("STRING", {"default": "ComfyUI"})},
}
_OUTPUTS: dict[str, tuple[str, ...]] = {
    "CheckpointLoaderSimple": ("MODEL", "CLIP", "VAE"),
    "CLIPTextEncode": ("CONDITIONING",),
    "EmptyLatentImage": ("LATENT",),
    "KSampler": ("LATENT",),
    "VAEDecode": ("IMAGE",),
    "SaveImage": (),
}
_SAVES = "SaveImage"
_BAD_LINK = "Bad linked input, must be a length-2 list of [node_id, slot_index]"
_BAD_TYPE = "Failed to convert an input value to a {} value"
_TYPES: dict[str, tuple[type, ...]] = {"INT": (int,), "FLOAT": (int, float), "STRING": (str,)}


class Refused(Exception):  # noqa: N818 - an outcome that the client reads
    """A graph that cannot be drawn.

    Attributes:
        document: what ComfyUI answers to it.
    """

    def __init__(
        self, kind: str, message: str, nodes: Mapping[str, Any] | None = None, details: str = ""
    ) -> None:
        super().__init__(message)
        error = {"type": kind, "message": message, "details": details, "extra_info": {}}
        self.document = {"error": error, "node_errors": dict(nodes or {})}


@dataclass(frozen=True, slots=True)
class Job:
    """An image that a graph asks for.

    Attributes:
        saves: the node that keeps it.
        samples: the node that takes the time.
        steps: how many it takes.
        prefix: of the file's name.
    """

    saves: str
    samples: str
    steps: int
    prefix: str
    wish: Wish


def object_info(name: str) -> dict[str, Any]:
    """A node's description; empty where there is none of that name."""
    if name not in _INPUTS:
        return {}
    outputs = _OUTPUTS[name]
    described = {
        "input": {"required": {key: list(spec) for key, spec in _INPUTS[name].items()}},
        "input_order": {"required": list(_INPUTS[name])},
        "output": outputs,
        "output_is_list": [False] * len(outputs),
        "output_name": outputs,
        "name": name,
        "display_name": name,
        "description": "simulated",
        "category": "simulated",
        "output_node": name == _SAVES,
    }
    return {name: described}


def nodes() -> dict[str, Any]:
    """All nodes' descriptions."""
    return {name: described for kind in _INPUTS for name, described in object_info(kind).items()}


def read(graph: Any) -> list[Job]:
    """The images that a graph asks for.

    Raises:
        Refused: it has faults; each node's are told.
    """
    if not isinstance(graph, dict) or not graph:
        raise Refused("prompt_no_outputs", "Prompt has no outputs")
    _known(graph)
    if not any(node["class_type"] == _SAVES for node in graph.values()):
        raise Refused("prompt_no_outputs", "Prompt has no outputs")
    saves = [name for name, node in graph.items() if node["class_type"] == _SAVES]
    told: dict[str, Any] = {}
    for name, node in graph.items():
        if faults := list(_faults(graph, node)):
            told[name] = {
                "errors": faults,
                "dependent_outputs": saves,
                "class_type": node["class_type"],
            }
    if told:
        details = "\n".join(fault["details"] for node in told.values() for fault in node["errors"])
        message = "Prompt outputs failed validation"
        raise Refused("prompt_outputs_failed_validation", message, told, details)
    return [_job(graph, name) for name in saves]


def _known(graph: dict[str, Any]) -> None:
    for name, node in graph.items():
        kind = node.get("class_type") if isinstance(node, dict) else None
        if str(kind) not in _INPUTS or not isinstance(node.get("inputs"), dict):
            message = f"Cannot execute because node {kind} does not exist."
            raise Refused("invalid_prompt", message, details=f"Node ID '#{name}'")


def _faults(graph: dict[str, Any], node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for name, spec in _INPUTS[node["class_type"]].items():
        if name not in node["inputs"]:
            yield _fault("required_input_missing", "Required input is missing", name, name)
            continue
        found = _of_link(graph, spec, node["inputs"][name])
        if found is None:
            found = _of_value(spec, node["inputs"][name])
        if found:
            yield _fault(*found, name)


def _fault(kind: str, message: str, details: str, name: str) -> dict[str, Any]:
    told = details if details == name else f"{name}, {details}"
    return {"type": kind, "message": message, "details": told, "extra_info": {"input_name": name}}


def _of_link(
    graph: dict[str, Any], spec: tuple[Any, ...], value: Any
) -> tuple[str, str, str] | tuple[()] | None:
    """What is wrong with a link; empty where nothing is, None where a value is asked for."""
    if isinstance(spec[0], list) or spec[0] in _TYPES:
        return None
    if not _is_link(graph, value):
        return "bad_linked_input", _BAD_LINK, repr(value)
    outputs = _OUTPUTS[graph[value[0]]["class_type"]]
    given = outputs[value[1]] if value[1] in range(len(outputs)) else "nothing"
    if given != spec[0]:
        message = "Return type mismatch between linked nodes"
        details = f"received_type({given}) mismatch input_type({spec[0]})"
        return "return_type_mismatch", message, details
    return ()


def _is_link(graph: dict[str, Any], value: Any) -> bool:
    if not isinstance(value, list) or len(value) != _LINK_LENGTH:
        return False
    return isinstance(value[0], str) and value[0] in graph and isinstance(value[1], int)


def _of_value(spec: tuple[Any, ...], value: Any) -> tuple[str, str, str] | None:
    kind = spec[0]
    if isinstance(kind, list):
        if value in kind:
            return None
        return "value_not_in_list", "Value not in list", f"{value!r} not in {kind}"
    if not isinstance(value, _TYPES[kind]) or isinstance(value, bool):
        return "invalid_input_type", _BAD_TYPE.format(kind), repr(value)
    limits: dict[str, Any] = spec[1]
    if "min" in limits and value < limits["min"]:
        least = limits["min"]
        return "value_smaller_than_min", f"Value {value} smaller than min of {least}", repr(value)
    if "max" in limits and value > limits["max"]:
        most = limits["max"]
        return "value_bigger_than_max", f"Value {value} bigger than max of {most}", repr(value)
    return None


def _job(graph: dict[str, Any], saves: str) -> Job:
    """An image, found by following the links upwards from the node that keeps it."""
    sampler = _giver(graph, _giver(graph, saves, "images"), "samples")
    if graph[sampler]["class_type"] != "KSampler":
        raise Refused("invalid_prompt", "Nothing is sampled before it is decoded", details=saves)
    latent = _giver(graph, sampler, "latent_image")
    if graph[latent]["class_type"] != "EmptyLatentImage":
        raise Refused("invalid_prompt", "This stand-in samples empty latents only", details=saves)
    told, size = graph[sampler]["inputs"], graph[latent]["inputs"]
    texts = {
        name: graph[_giver(graph, sampler, name)]["inputs"]["text"]
        for name in ("positive", "negative")
    }
    wish = Wish(
        texts["positive"],
        texts["negative"],
        told["seed"],
        size["width"] // CELL * CELL,
        size["height"] // CELL * CELL,
    )
    return Job(saves, sampler, told["steps"], graph[saves]["inputs"]["filename_prefix"], wish)


def _giver(graph: dict[str, Any], name: str, link: str) -> str:
    return str(graph[name]["inputs"][link][0])
