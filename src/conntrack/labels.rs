// SPDX-License-Identifier: GPL-2.0

//! Labels of connections, which a ct action sets some bits of.

use kernel::prelude::*;
use kernel_ext::net::netfilter::{
    nf_conntrack::{
        NfConn,
        Unconfirmed, //
    },
    nf_conntrack_labels::Labels, //
};
use zerocopy::IntoBytes;

use super::action::MdLabels;
use crate::flow::key::SwFlowKey;

/// Labels as a key has them.
pub(super) fn to_key(labels: Labels) -> [u8; 16] {
    zerocopy::transmute!(labels)
}

/// Sets labels of a connection that is about to be confirmed, which has those
/// of the connection that expected it, and puts them into the key.
///
/// Fails with `ENOSPC` where there is no room for labels.
///
/// C: `ovs_ct_init_labels()`.
pub(super) fn ovs_ct_init_labels(
    ct: &mut Unconfirmed<'_>,
    key: &mut SwFlowKey,
    labels: &MdLabels,
) -> Result {
    let master_labels = ct.master().and_then(|master| master.labels());
    if master_labels.is_none() && !labels.is_set() {
        return Ok(());
    }

    ct.labels_ext_add();
    let mut new = ct.labels().ok_or(ENOSPC)?;
    if let Some(master_labels) = master_labels {
        new = master_labels;
    }
    for (new, (value, mask)) in new.iter_mut().zip(labels.value.iter().zip(&labels.mask)) {
        *new = (*new & !mask) | (value & mask);
    }
    ct.set_labels(&new);

    // The event of the new connection has the labels only if this says so.
    ct.cache_label_event();
    key.ct_labels = to_key(new);
    Ok(())
}

/// Sets labels of a connection that others see, and puts them into the key.
///
/// Fails with `ENOSPC` where there is no room for labels, which cannot be made
/// any more.
///
/// C: `ovs_ct_set_labels()`.
pub(super) fn ovs_ct_set_labels(ct: &NfConn, key: &mut SwFlowKey, labels: &MdLabels) -> Result {
    if ct.labels().is_none() {
        return Err(ENOSPC);
    }
    ct.replace_labels(&labels.value, &labels.mask)?;
    if let Some(new) = ct.labels() {
        key.ct_labels.copy_from_slice(new.as_bytes());
    }
    Ok(())
}
