// SPDX-License-Identifier: GPL-2.0

//! Generic netlink: families, policies and messages.

use kernel::prelude::*;

#[kunit_tests(openvswitch_genetlink)]
mod tests {
    use super::*;

    use crate::{
        bindings,
        net::{
            genetlink::{
                flags,
                Family,
                FamilyDef,
                GenlHdr,
                MulticastGroup, //
            },
            netlink::{
                AttrWriter,
                NlMsg,
                NlaPolicy, //
            },
        },
    };

    const NAME: u32 = 1;
    const PORT: u32 = 3;

    static POLICY: [NlaPolicy; 4] = NlaPolicy::table(&[
        (NAME, NlaPolicy::nul_string(15)),
        (PORT, NlaPolicy::u32_range(0, 7)),
    ]);
    static GROUPS: [MulticastGroup; 1] = [MulticastGroup::new(b"group\0")];
    // SAFETY: No module owns a family that is never registered.
    static NO_MODULE: ThisModule = unsafe { ThisModule::from_ptr(core::ptr::null_mut()) };
    static FAMILY: Family = Family::new(FamilyDef {
        module: &NO_MODULE,
        name: b"kunit\0",
        version: 3,
        hdrsize: 4,
        policy: &POLICY,
        small_ops: &[],
        mcgrps: &GROUPS,
        resv_start_op: 2,
        netnsok: true,
        parallel_ops: true,
    });

    const HDR: GenlHdr = GenlHdr {
        portid: 0x0102_0304,
        seq: 7,
        flags: 2,
        cmd: 5,
    };

    /// Netlink's header, generic netlink's and the family's.
    const HDRLEN: usize = 16 + 4 + 4;

    fn u16_at(bytes: &[u8], at: usize) -> u16 {
        bytes
            .get(at..)
            .and_then(|b| b.first_chunk())
            .map_or(0, |b| u16::from_ne_bytes(*b))
    }

    fn u32_at(bytes: &[u8], at: usize) -> u32 {
        bytes
            .get(at..)
            .and_then(|b| b.first_chunk())
            .map_or(0, |b| u32::from_ne_bytes(*b))
    }

    #[test]
    fn family_flags() {
        for netnsok in [false, true] {
            for parallel_ops in [false, true] {
                let family = bindings::genl_family {
                    _bitfield_1: flags(netnsok, parallel_ops),
                    ..Default::default()
                };

                assert_eq!((family.netnsok() != 0), netnsok);
                assert_eq!((family.parallel_ops() != 0), parallel_ops);
            }
        }
    }

    #[test]
    fn family_of_its_definition() {
        // SAFETY: The family is valid and not registered, so nobody writes it.
        let family = unsafe { &*FAMILY.as_raw() };

        assert_eq!(family.name.get(..6), Some(&b"kunit\0"[..]));
        assert_eq!(family.hdrsize, 4);
        assert_eq!(family.version, 3);
        assert_eq!(family.maxattr, 3);
        assert_eq!(family.n_mcgrps, 1);
        assert_eq!(family.resv_start_op, 2);
        assert_eq!(family.id, 0);
        assert!(family.small_ops != core::ptr::null() || family.n_small_ops == 0);

        // SAFETY: There are `maxattr + 1` policies.
        let policy = unsafe { core::slice::from_raw_parts(family.policy, 4) };
        let types = [
            bindings::NLA_UNSPEC,
            bindings::NLA_NUL_STRING,
            bindings::NLA_UNSPEC,
            bindings::NLA_U32,
        ];
        for (policy, ty) in policy.iter().zip(types) {
            assert_eq!(u32::from(policy.type_), ty);
        }
    }

    #[test]
    fn message_with_headers() -> Result {
        let mut msg = NlMsg::new(64, GFP_KERNEL)?;

        msg.genlmsg(&FAMILY, HDR, &[1, 2, 3, 4], |w| w.put_u32(PORT as u16, 9))?;
        let bytes = msg.linear();
        assert_eq!(bytes.len(), HDRLEN + 8);
        assert_eq!(u32_at(bytes, 0) as usize, bytes.len());
        assert_eq!(u16_at(bytes, 6), HDR.flags);
        assert_eq!(u32_at(bytes, 8), HDR.seq);
        assert_eq!(u32_at(bytes, 12), HDR.portid);
        assert_eq!(bytes.get(16).copied(), Some(HDR.cmd));
        assert_eq!(bytes.get(17).copied(), Some(3));
        assert_eq!(bytes.get(20..24), Some(&[1, 2, 3, 4][..]));
        assert_eq!(u16_at(bytes, 24), 8);
        assert_eq!(u16_at(bytes, 26), PORT as u16);
        assert_eq!(u32_at(bytes, 28), 9);
        Ok(())
    }

    #[test]
    fn short_user_header_is_padded_with_zeroes() -> Result {
        let mut msg = NlMsg::new(64, GFP_KERNEL)?;

        msg.genlmsg(&FAMILY, HDR, &[1], |_| Ok(()))?;
        assert_eq!(msg.linear().get(20..), Some(&[1, 0, 0, 0][..]));

        let too_long = msg.genlmsg(&FAMILY, HDR, &[0; 5], |_| Ok(()));
        assert_eq!(too_long, Err(EINVAL));
        assert_eq!(msg.linear().len(), HDRLEN);
        Ok(())
    }

    #[test]
    fn message_that_fails_leaves_nothing() -> Result {
        let mut msg = NlMsg::new(128, GFP_KERNEL)?;

        msg.genlmsg(&FAMILY, HDR, &[], |w| w.put_u32(PORT as u16, 1))?;
        let before = msg.linear().len();

        let failed = msg.genlmsg(&FAMILY, HDR, &[], |w| {
            w.put_u32(PORT as u16, 2)?;
            Err(EMSGSIZE)
        });
        assert_eq!(failed, Err(EMSGSIZE));
        assert_eq!(msg.linear().len(), before);
        assert_eq!(u32_at(msg.linear(), 0) as usize, before);
        Ok(())
    }

    #[test]
    fn full_buffer_takes_no_headers() -> Result {
        let mut msg = NlMsg::new(64, GFP_KERNEL)?;
        let mut n = 0_usize;

        while msg.genlmsg(&FAMILY, HDR, &[], |_| Ok(())).is_ok() {
            n += 1;
            assert!(n < 1_000_000);
        }
        assert_eq!(msg.linear().len(), n * HDRLEN);
        assert_eq!(msg.genlmsg(&FAMILY, HDR, &[], |_| Ok(())), Err(EMSGSIZE));
        Ok(())
    }
}
