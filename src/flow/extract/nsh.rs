// SPDX-License-Identifier: GPL-2.0

//! Network service headers.

use kernel::prelude::*;
use kernel_ext::net::{
    nsh::{
        NshBaseHdr,
        NSH_BASE_HDR_LEN,
        NSH_M_TYPE1,
        NSH_M_TYPE1_LEN,
        NSH_M_TYPE2, //
    },
    skbuff::SkBuff, //
};
use zerocopy::network_endian::U32 as Be32;

use super::{
    check_header,
    checked, //
};
use crate::flow::key::{
    NshKey,
    SwFlowKey, //
};

/// Extracts the network service header at `nh_ofs`. Metadata of type 2 is not
/// matched on.
///
/// Unlike other headers this one has to be right, or the packet is dropped:
/// fails with `EINVAL`, and with `ENOMEM`.
///
/// C: `parse_nsh()`.
#[cold]
pub(super) fn parse_nsh(skb: &mut SkBuff, key: &mut SwFlowKey, nh_ofs: usize) -> Result {
    let metadata = nh_ofs.wrapping_add(NSH_BASE_HDR_LEN);
    check_header(skb, metadata)?;
    let base = *checked(skb.header::<NshBaseHdr>(nh_ofs))?;
    if base.version() != 0 {
        return Err(EINVAL);
    }
    check_header(skb, nh_ofs.wrapping_add(base.hdr_len()))?;

    key.nsh = NshKey {
        flags: base.flags(),
        ttl: base.ttl(),
        mdtype: base.mdtype,
        np: base.np,
        path_hdr: base.path_hdr,
        context: match base.mdtype {
            NSH_M_TYPE1 if base.hdr_len() == NSH_M_TYPE1_LEN => {
                *checked(skb.header::<[Be32; 4]>(metadata))?
            }
            NSH_M_TYPE2 => [Be32::ZERO; 4],
            _ => return Err(EINVAL),
        },
    };
    Ok(())
}
