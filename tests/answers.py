"""What a process of the product says of itself over HTTP, asked as an operator does."""

from __future__ import annotations

import urllib.error
import urllib.request

TOKEN = "the-token-of-the-operator"


def get(url: str) -> tuple[int, str]:
    """Status and body of a GET with TOKEN."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {TOKEN}"})
    try:
        with urllib.request.urlopen(request, timeout=15) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def status(url: str) -> int:
    """The status of the answer at `url`; 0 where nobody answers."""
    try:
        return get(url)[0]
    except urllib.error.URLError:
        return 0


def metric(url: str, name: str) -> float | None:
    """The value of the sample at `url`/metrics whose name and labels are `name`."""
    _, text = get(f"{url}/metrics")
    for line in text.splitlines():
        sample, _, value = line.rpartition(" ")
        if sample == name:
            return float(value)
    return None
