// SPDX-License-Identifier: GPL-2.0

//! What is kept for each network namespace.

use kernel::prelude::*;

#[kunit_tests(rust_net_namespace)]
mod tests {
    use crate::{
        bindings,
        net::namespace::Net, //
    };

    /// When registering fails, `exit` is called in the namespaces before the one
    /// that failed, and may look at those behind it, whose arrays can be shorter.
    #[test]
    fn no_place_is_no_data() {
        for id in [1 << 8, 1 << 10, 1 << 14, 1 << 20, u32::MAX] {
            // SAFETY: The namespace is static; any number will do.
            let place = unsafe { bindings::net_generic(Net::init().as_raw(), id) };
            assert!(place.is_null());
        }
    }
}
