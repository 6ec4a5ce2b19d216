"""What makers say that their devices do at most.

Dense, without sparsity. Sources: NVIDIA's data sheets of H100, H200 and A100 Tensor Core GPUs;
Google's Cloud TPU documentation (system architecture of v4, v5e, v5p and v6e).
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Peak:
    """Limits of one device.

    Attributes:
        bfloat16: FLOP/s of matrix products in bfloat16.
        float32: FLOP/s of those that JAX uses for float32 by default: TF32 on NVIDIA's GPUs,
            bfloat16 on TPUs.
        bandwidth: bytes/s of its memory.
        source: who says so.
    """

    bfloat16: float
    float32: float
    bandwidth: float
    source: str


def _gpu(bfloat16: float, bandwidth: float, sheet: str) -> Peak:
    return Peak(
        bfloat16 * 1e12, bfloat16 * 1e12 / 2, bandwidth * 1e12, f"NVIDIA {sheet} data sheet"
    )


def _tpu(bfloat16: float, bandwidth: float, name: str) -> Peak:
    return Peak(
        bfloat16 * 1e12, bfloat16 * 1e12, bandwidth * 1e9, f"Cloud TPU {name} documentation"
    )


# How `jax.Device.device_kind` begins -> limits; the first that fits counts.
PEAKS = {
    "NVIDIA H200 NVL": _gpu(835.5, 4.8, "H200"),
    "NVIDIA H200": _gpu(989.5, 4.8, "H200"),
    "NVIDIA H100 NVL": _gpu(835.5, 3.9, "H100"),
    "NVIDIA H100 PCIe": _gpu(756.0, 2.0, "H100"),
    "NVIDIA H100": _gpu(989.5, 3.35, "H100"),
    "NVIDIA A100-SXM4-80GB": _gpu(312.0, 2.039, "A100"),
    "NVIDIA A100 80GB": _gpu(312.0, 1.935, "A100"),
    "NVIDIA A100": _gpu(312.0, 1.555, "A100"),
    "TPU v4": _tpu(275.0, 1228.0, "v4"),
    "TPU v5 lite": _tpu(197.0, 819.0, "v5e"),
    "TPU v5e": _tpu(197.0, 819.0, "v5e"),
    "TPU v5": _tpu(459.0, 2765.0, "v5p"),
    "TPU v6": _tpu(918.0, 1640.0, "v6e"),
}


def peak(device_kind: str) -> Peak | None:
    """The limits of a device, or None for one that is not in the table or is a part of one.

    >>> peak("NVIDIA H100 80GB HBM3").bandwidth
    3350000000000.0
    """
    if " MIG " in device_kind or device_kind.startswith("TPU v4i"):
        return None
    return next((own for kind, own in PEAKS.items() if device_kind.startswith(kind)), None)


def peak_of(device_kind: str, dtype: str) -> float | None:
    """FLOP/s that a device does at most where a network computes in `dtype`."""
    own = peak(device_kind)
    return None if own is None else {"bfloat16": own.bfloat16, "float32": own.float32}[dtype]
