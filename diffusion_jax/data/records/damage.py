"""What is known of records that cannot be used."""

import dataclasses
import warnings

from diffusion_jax.errors import UserError, shown

FIRST = 5  # that are reported one by one
LISTED = 20  # in the message that ends a run


@dataclasses.dataclass(eq=False)
class Damage:
    """Counts the damaged records that a process meets, reports them, and ends where there are many.

    Attributes:
        where: the files.
        count: of all records.
        share: of them that may be damaged.
        found: key → what is wrong with it.
    """

    where: str
    count: int
    share: float
    found: dict[str, str] = dataclasses.field(default_factory=dict)

    def note(self, key: str, reason: str) -> None:
        """Counts a record that is met, each once.

        Raises:
            UserError: they are more than the share; the message lists the first of them.
        """
        if key in self.found:
            return
        self.found[key] = reason
        known = len(self.found)
        if known > self.share * self.count:
            listed = "; ".join(f"{shown(k)}: {why}" for k, why in list(self.found.items())[:LISTED])
            raise UserError(
                f"{self.where}: {known} of {self.count} records are damaged, more than the share "
                f"of {self.share:g} that damaged= allows: {listed}."
            )
        if known <= FIRST or known & (known - 1) == 0:  # then at 8, 16, 32, …
            warnings.warn(
                f"{self.where}: record {shown(key)} is damaged ({reason}), and the next good one "
                f"stands in for it; {known} of {self.count} so far.",
                stacklevel=3,
            )
