// SPDX-License-Identifier: GPL-2.0

//! Attribute types of the ct action.
//!
//! C header: [`include/uapi/linux/openvswitch.h`](srctree/include/uapi/linux/openvswitch.h)

use crate::flow_netlink::uapi::attr_types;

attr_types! {
    OVS_CT_ATTR_COMMIT = ovs_ct_attr_OVS_CT_ATTR_COMMIT;
    OVS_CT_ATTR_ZONE = ovs_ct_attr_OVS_CT_ATTR_ZONE;
    OVS_CT_ATTR_MARK = ovs_ct_attr_OVS_CT_ATTR_MARK;
    OVS_CT_ATTR_LABELS = ovs_ct_attr_OVS_CT_ATTR_LABELS;
    OVS_CT_ATTR_HELPER = ovs_ct_attr_OVS_CT_ATTR_HELPER;
    OVS_CT_ATTR_NAT = ovs_ct_attr_OVS_CT_ATTR_NAT;
    OVS_CT_ATTR_FORCE_COMMIT = ovs_ct_attr_OVS_CT_ATTR_FORCE_COMMIT;
    OVS_CT_ATTR_EVENTMASK = ovs_ct_attr_OVS_CT_ATTR_EVENTMASK;
    OVS_CT_ATTR_TIMEOUT = ovs_ct_attr_OVS_CT_ATTR_TIMEOUT;
    OVS_CT_ATTR_COUNT = ovs_ct_attr___OVS_CT_ATTR_MAX;
}

/// The last type of the action's attributes.
pub(crate) const OVS_CT_ATTR_MAX: u16 = OVS_CT_ATTR_COUNT - 1;

#[cfg(CONFIG_NF_NAT_OVS)]
attr_types! {
    OVS_NAT_ATTR_SRC = ovs_nat_attr_OVS_NAT_ATTR_SRC;
    OVS_NAT_ATTR_DST = ovs_nat_attr_OVS_NAT_ATTR_DST;
    OVS_NAT_ATTR_IP_MIN = ovs_nat_attr_OVS_NAT_ATTR_IP_MIN;
    OVS_NAT_ATTR_IP_MAX = ovs_nat_attr_OVS_NAT_ATTR_IP_MAX;
    OVS_NAT_ATTR_PROTO_MIN = ovs_nat_attr_OVS_NAT_ATTR_PROTO_MIN;
    OVS_NAT_ATTR_PROTO_MAX = ovs_nat_attr_OVS_NAT_ATTR_PROTO_MAX;
    OVS_NAT_ATTR_PERSISTENT = ovs_nat_attr_OVS_NAT_ATTR_PERSISTENT;
    OVS_NAT_ATTR_PROTO_HASH = ovs_nat_attr_OVS_NAT_ATTR_PROTO_HASH;
    OVS_NAT_ATTR_PROTO_RANDOM = ovs_nat_attr_OVS_NAT_ATTR_PROTO_RANDOM;
    OVS_NAT_ATTR_COUNT = ovs_nat_attr___OVS_NAT_ATTR_MAX;
}

/// The last type of the attributes of NAT.
#[cfg(CONFIG_NF_NAT_OVS)]
pub(crate) const OVS_NAT_ATTR_MAX: u16 = OVS_NAT_ATTR_COUNT - 1;
