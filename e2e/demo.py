"""The demo: one HeteroLLMCluster becomes running engines behind one routing Service, on an embedded Kubernetes."""

from __future__ import annotations

import argparse
import sys
import time

from e2e.chat import Answer, ask, stream
from e2e.cluster.cache import print_report
from e2e.cluster.images.buildah import ImageError
from e2e.cluster.node.commands import running_cluster
from e2e.cluster.node.down import down
from e2e.cluster.node.errors import NodeError
from e2e.cluster.node.layout import Layout
from e2e.disk import missing_disk
from e2e.install import InstallError
from e2e.stack import ENGINE_IMAGES, ROOT, Stack, StackError

NAME = "demo"
CLUSTER, NAMESPACE = "chat", "default"
SIMPLE = "Say hello."
HARD = (
    "Prove step by step that the sum of the first n odd numbers is n^2, then write a Python function with tests that"
    " checks it, analyse its complexity, compare it with two alternatives, and explain every trade-off in detail:\n"
    "```python\ndef odd_sum(n: int) -> int:\n    return sum(2 * k + 1 for k in range(n))\n```\n"
    "Consider overflow, numerical stability, $\\sum_{k=0}^{n-1} (2k+1) = n^2$, and derive the general formula for"
    " arithmetic progressions. Plan first; then act on each step; finally evaluate the result against the plan."
)
_READY_SECONDS = {"simulated": 300.0, "sglang": 1200.0}


def main() -> None:
    """Entry point: `python -m e2e.demo [up|ask|down]`."""
    parser = argparse.ArgumentParser(prog="python -m e2e.demo", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="everything, from nothing to answered requests")
    up.add_argument("--engine", choices=sorted(ENGINE_IMAGES), default="simulated")
    question = commands.add_parser("ask", help="one chat request through the routing Service")
    question.add_argument("text")
    question.add_argument("--model", default="auto", help="auto, a tier's name or a model id (default: auto)")
    commands.add_parser("down", help="remove everything the demo started")
    arguments = parser.parse_args()
    try:
        _main(arguments)
    except (StackError, NodeError, InstallError, ImageError) as error:
        sys.exit(f"demo: {error}")


def _main(arguments: argparse.Namespace) -> None:
    if arguments.command == "up":
        run(arguments.engine)
    elif arguments.command == "ask":
        _print_answer(arguments.text, ask(_running().routing_url(CLUSTER, NAMESPACE), arguments.text, arguments.model))
    else:
        down(Layout(NAME), print_report)


def run(engine: str) -> None:
    """Bring everything up, ask three questions, and say what to try next."""
    if complaint := missing_disk(engine, Layout(NAME)):
        sys.exit(complaint)
    started = time.monotonic()

    def step(text: str) -> None:
        print_report(f"\n==> [{time.monotonic() - started:4.0f} s] {text}")

    step("a Kubernetes of our own: API server, controllers, scheduler, kubelet, GPUs by a device plugin")
    stack = Stack.up(NAME, print_report)
    step("images: operator, router (Envoy), engines")
    images = stack.load_images(["operator", "router", ENGINE_IMAGES[engine]])
    step("helm install heterollm")
    stack.install_operator(images["operator"])
    sample = ROOT / "manifests" / "samples" / f"demo-{engine}.yaml"
    step(f"kubectl apply -f {sample.relative_to(ROOT)}")
    print_report(stack.kubectl("apply", "-n", NAMESPACE, "-f", str(sample)).strip())
    stack.wait_ready(CLUSTER, NAMESPACE, _READY_SECONDS[engine])
    url = stack.routing_url(CLUSTER, NAMESPACE)
    step("a simple request: the router scores it low, the small tier answers")
    _print_answer(SIMPLE, ask(url, SIMPLE))
    step("a hard request: the router scores it high, the large tier answers")
    _print_answer(HARD, ask(url, HARD))
    step("a streamed request")
    _print_stream(url)
    step("what runs")
    print_report(stack.kubectl("get", "hllm,pods", "-n", NAMESPACE, "-o", "wide"))
    if engine == "simulated":
        print_report("The engines are SIMULATED: no model runs. `make demo ENGINE=sglang` runs the real SGLang server.")
    print_report(_NEXT.format(kubeconfig=stack.layout.kubeconfig, url=url, cluster=CLUSTER))


_NEXT = """
Try next:
  make ask TEXT='What is 2 + 2?'
  curl -s {url}/v1/models
  export KUBECONFIG={kubeconfig}
  kubectl describe hllm {cluster}
  kubectl patch hllm {cluster} --type=json -p '[{{"op":"replace","path":"/spec/tiers/0/replicas/min","value":3}}]'
  kubectl delete pod {cluster}-small-0-0       # traffic moves at once
  make demo-down                             # remove everything"""


def _running() -> Stack:
    stack = Stack(Layout(NAME), print_report)
    running_cluster(stack.layout)  # says what to do when it does not run
    return stack


def _print_answer(text: str, answer: Answer) -> None:
    asked = text if len(text) <= 76 else f"{text[:73]}..."
    print_report(f"  asked:  {asked!r}")
    print_report(f"  served by tier {answer.tier} (score {answer.score}), HTTP {answer.status}")
    print_report(f"  answer: {answer.text.strip()[:300]}")


def _print_stream(url: str) -> None:
    answer, pieces = stream(url, SIMPLE)
    print_report(f"  served by tier {answer.tier} (score {answer.score}), HTTP {answer.status}, piece by piece:")
    print("  answer: ", end="")
    for piece in pieces:
        print(piece, end="|", flush=True)
    print_report("")


if __name__ == "__main__":
    main()
