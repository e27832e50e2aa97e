// SPDX-License-Identifier: GPL-2.0

//! Shows that `make kunit` tells a pass from a failure.
//!
//! A test that passes and, with `--cfg probe_fails`, one that does not.

use kernel::prelude::*;

module! {
    type: Probe,
    name: "kunit_probe",
    authors: ["Open vSwitch Rust datapath team"],
    description: "Probe of the KUnit runner",
    license: "GPL",
}

struct Probe;

impl kernel::Module for Probe {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        Ok(Self)
    }
}

#[kunit_tests(kunit_probe)]
mod tests {
    #[test]
    fn passes() {
        assert_eq!(1 + 1, 2);
    }

    #[cfg(probe_fails)]
    #[test]
    fn fails() {
        assert_eq!(1 + 1, 3);
    }
}
