"""The demo: one HeteroLLMCluster becomes running engines behind one routing Service, on an embedded Kubernetes."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import yaml

from e2e.chat import Answer, ask, stream
from e2e.cluster.cache import Report, print_report
from e2e.cluster.images.buildah import ImageError
from e2e.cluster.node.commands import running_cluster
from e2e.cluster.node.down import down
from e2e.cluster.node.errors import NodeError
from e2e.cluster.node.host import ensure_packages, require_root
from e2e.cluster.node.layout import Layout
from e2e.disk import missing_disk
from e2e.install import InstallError
from e2e.monitoring.binaries import ensure_binaries as ensure_monitoring
from e2e.scenarios.chat_cluster import ChatCluster
from e2e.stack import ENGINE_IMAGES, ROOT, Stack, StackError, build_image
from e2e.steering.manifest import hurried_sample
from e2e.steering.show import operator_values, show, watch

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
_READY_SECONDS = {"simulated": 600.0, "sglang": 1200.0}


def main() -> None:
    """Entry point: `python -m e2e.demo [up|ask|down]`."""
    parser = argparse.ArgumentParser(prog="python -m e2e.demo", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="everything, from nothing to answered requests")
    up.add_argument("--engine", choices=sorted(ENGINE_IMAGES), default="simulated")
    up.add_argument("--steer", type=int, choices=(0, 1), default=1, help="0: only the quick look (default: 1)")
    question = commands.add_parser("ask", help="one chat request through the routing Service")
    question.add_argument("text")
    question.add_argument("--model", default="auto", help="auto, a tier's name or a model id (default: auto)")
    commands.add_parser("down", help="remove everything the demo started")
    arguments = parser.parse_args()
    try:
        _main(arguments)
    except (StackError, NodeError, InstallError, ImageError) as error:
        sys.exit(f"demo: {error}")
    except KeyboardInterrupt:
        sys.exit("\ndemo: stopped; `make demo` goes on from here, `make demo-down` removes what runs")


def _main(arguments: argparse.Namespace) -> None:
    if arguments.command == "up":
        # Only simulated engines break on request.
        run(arguments.engine, steered=bool(arguments.steer) and arguments.engine == "simulated")
    elif arguments.command == "ask":
        _print_answer(arguments.text, ask(_running().routing_url(CLUSTER, NAMESPACE), arguments.text, arguments.model))
    else:
        down(Layout(NAME), print_report)


def run(engine: str, *, steered: bool) -> None:
    """Bring everything up, ask three questions, show how the cluster steers itself, and say what to try next."""
    require_root()
    if complaint := missing_disk(engine, Layout(NAME)):
        sys.exit(complaint)
    step = _steps()
    step("a Kubernetes of our own (API server, controllers, scheduler, kubelet, GPUs), and images beside it")
    ensure_packages(print_report)
    with _prepared(["operator", "router", ENGINE_IMAGES[engine]], steered=steered) as archives:
        stack = Stack.up(NAME, print_report, gpus=16)
        step("images: operator, router (Envoy), engines")
        images = stack.load({name: archive.result() for name, archive in archives.items()})
    if steered:
        step("a real Prometheus, which scrapes every two seconds")
        monitoring = watch(stack)
    step("helm install heterollm")
    stack.install_operator(images["operator"], operator_values() if steered else None)
    url = _apply(stack, engine, step, steered=steered)
    _quick_look(stack, url, step)
    if steered:
        step("the cluster steers itself: a spike, then a tier that breaks (`make demo STEER=0` leaves this out)")
        show(ChatCluster(stack, NAMESPACE), monitoring)
    if engine == "simulated":
        print_report("The engines are SIMULATED: no model runs. `make demo ENGINE=sglang` runs the real SGLang server.")
    print_report(_NEXT.format(kubeconfig=stack.layout.kubeconfig, url=url, cluster=CLUSTER))


def _steps() -> Report:
    started = time.monotonic()
    return lambda text: print_report(f"\n==> [{time.monotonic() - started:4.0f} s] {text}")


@contextmanager
def _prepared(images: list[str], *, steered: bool) -> Iterator[dict[str, Future[Path]]]:
    """Build images, one after the other, and fetch Prometheus, while the block runs."""
    # That keeps one core busy or waits for downloads, so it goes well beside the compiler.
    with ThreadPoolExecutor(1) as pool:
        try:
            building = {name: pool.submit(build_image, name, print_report) for name in images}
            if steered:
                pool.submit(ensure_monitoring, print_report)
            yield building
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _apply(stack: Stack, engine: str, step: Report, *, steered: bool) -> str:
    """Apply the sample, wait until it is Ready, and return the routing Service's address."""
    sample = ROOT / "manifests" / "samples" / f"demo-{engine}.yaml"
    shortened = ", with short rests (e2e/steering/manifest.py)" if steered else ""
    step(f"kubectl apply -f {sample.relative_to(ROOT)}{shortened}")
    if steered:
        sample = stack.layout.state / "chat.yaml"
        sample.write_text(yaml.safe_dump(hurried_sample(), sort_keys=False))
    print_report(stack.kubectl("apply", "-n", NAMESPACE, "-f", str(sample)).strip())
    stack.wait_ready(CLUSTER, NAMESPACE, _READY_SECONDS[engine])
    return stack.routing_url(CLUSTER, NAMESPACE)


def _quick_look(stack: Stack, url: str, step: Report) -> None:
    step("a simple request: the router scores it low, the small tier answers")
    _print_answer(SIMPLE, ask(url, SIMPLE))
    step("a hard request: the router scores it high, the large tier answers")
    _print_answer(HARD, ask(url, HARD))
    step("a streamed request")
    _print_stream(url)
    step("what runs")
    print_report(stack.kubectl("get", "hllm,pods", "-n", NAMESPACE, "-o", "wide"))


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
