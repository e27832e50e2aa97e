// SPDX-License-Identifier: GPL-2.0
// refused: E0597

//! A tunnel without a reference is valid under the RCU read lock only.

use kernel::sync::rcu;
use kernel_ext::{
    net::{
        ip_tunnels::IpTunnelInfo,
        skbuff::SkBuff, //
    },
    sync::rcu::RcuRead, //
};

/// Looks at the tunnel after the lock was released.
pub fn case(skb: &SkBuff) -> bool {
    let mut after: Option<&IpTunnelInfo> = None;
    {
        let guard = rcu::read_lock();
        let info = skb.tunnel_info(RcuRead::from(&guard));
        if info.is_some() {
            after = info; // BAD
        }
    }
    after.take().is_some()
}
