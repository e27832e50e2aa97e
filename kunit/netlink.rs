// SPDX-License-Identifier: GPL-2.0

//! Netlink attributes: reading, writing, policies, messages.

use kernel::prelude::*;

#[kunit_tests(rust_net_netlink)]
mod tests {
    use super::*;
    use kernel::alloc::flags::GFP_ATOMIC;

    use crate::net::{
        netlink::{
            policy::nla_parse,
            AttrBuf,
            AttrIter,
            AttrWriter,
            NlMsg,
            NlaPolicy,
            Nlattr,
            Validation, //
        },
        skbuff::SkBuff, //
    };

    /// A header with this length, and type 1.
    fn header(len: u16) -> [u8; 4] {
        let [l0, l1] = len.to_ne_bytes();
        let [t0, t1] = 1u16.to_ne_bytes();
        [l0, l1, t0, t1]
    }

    #[test]
    fn first_wants_a_whole_attribute() {
        assert!(Nlattr::first(&[]).is_none());
        assert!(Nlattr::first(&header(4)[..3]).is_none());
        for len in 0..4 {
            assert!(Nlattr::first(&header(len)).is_none());
        }
        assert!(Nlattr::first(&header(5)).is_none());
        let attr = Nlattr::first(&header(4)).map(|attr| (attr.ty(), attr.len()));
        assert_eq!(attr, Some((1, 0)));
    }

    #[test]
    fn type_flags_are_not_the_type() {
        let attr = Nlattr::new(0x8000 | 0x4000 | 7, &[]);
        assert_eq!(attr.ty(), 7);
        assert_eq!(attr.raw_type(), 0xc007);
    }

    #[test]
    fn values_need_their_length() {
        let attr = Nlattr::new(1, &[1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(attr.get_u8(), Some(1));
        assert_eq!(attr.get_be16(), Some(0x0102));
        assert_eq!(attr.get_be32(), Some(0x0102_0304));
        assert_eq!(attr.get_u32(), Some(u32::from_ne_bytes([1, 2, 3, 4])));
        assert_eq!(attr.get_u64(), None);
        assert_eq!(Nlattr::new(1, &[1]).get_u16(), None);
        assert_eq!(Nlattr::new(1, &[]).get_u8(), None);
        assert_eq!(Nlattr::new(1, b"ab\0c").get_str(), b"ab");
        assert_eq!(Nlattr::new(1, b"ab").get_str(), b"ab");
    }

    /// What is left after a stream of one attribute with 5 bytes of payload,
    /// when `len` bytes of it are there, and whether it was the last.
    fn remaining(len: usize) -> Option<(i32, bool)> {
        let mut stream = [0; 12];
        for (to, from) in stream.iter_mut().zip(header(9)) {
            *to = from;
        }
        let mut attrs = AttrIter::new(stream.get(..len)?);
        let attr = attrs.next()?;
        let last = attrs.is_last(&attr);
        Some((attrs.remaining(), last))
    }

    #[test]
    fn remaining_counts_padding_as_c_does() {
        assert_eq!(remaining(8), None);
        assert_eq!(remaining(9), Some((-3, true)));
        assert_eq!(remaining(10), Some((-2, false)));
        assert_eq!(remaining(11), Some((-1, false)));
        assert_eq!(remaining(12), Some((0, false)));
    }

    #[test]
    fn a_stream_ends_at_what_is_not_whole() -> Result {
        let mut buf = AttrBuf::new();
        buf.put_u32(1, 10)?;
        buf.put(2, b"abc")?;
        let mut bytes = KVec::new();
        bytes.extend_from_slice(buf.as_slice(), GFP_KERNEL)?;
        bytes.extend_from_slice(&header(3), GFP_KERNEL)?;

        let mut attrs = AttrIter::new(&bytes);
        assert_eq!(attrs.next().and_then(|a| a.get_u32()), Some(10));
        assert_eq!(attrs.next().map(|a| a.payload()), Some(&b"abc"[..]));
        assert!(attrs.next().is_none());
        assert_eq!(attrs.remaining(), 4);
        Ok(())
    }

    #[test]
    fn buffers_pad_and_nest() -> Result {
        let mut buf = AttrBuf::new();
        let nest = buf.nest_start(5)?;
        buf.put_u8(1, 0xff)?;
        buf.put_be16(2, 0x1234)?;
        buf.nest_end(nest)?;
        let [l0, l1] = 20u16.to_ne_bytes();
        assert_eq!(buf.as_slice().get(..2), Some(&[l0, l1][..]));
        assert_eq!(buf.as_slice().get(8..12), Some(&[0xff, 0, 0, 0][..]));
        assert_eq!(buf.len(), 20);

        let nest = buf.nest_start(6)?;
        buf.put_u32(1, 1)?;
        buf.nest_cancel(nest);
        assert_eq!(buf.len(), 20);
        Ok(())
    }

    #[test]
    fn a_full_buffer_takes_nothing() -> Result {
        let mut buf = AttrBuf::with_limit(12);
        assert_eq!(buf.put(1, &[0; 9]), Err(EMSGSIZE));
        buf.put(1, &[0; 5])?;
        assert_eq!(buf.put_flag(1), Err(EMSGSIZE));
        assert_eq!(buf.len(), 12);
        Ok(())
    }

    #[test]
    fn lengths_fit_16_bits() -> Result {
        let big = KVec::from_elem(0u8, 0xffff - 3, GFP_KERNEL)?;
        let mut buf = AttrBuf::new();
        assert_eq!(buf.put(1, &big), Err(EMSGSIZE));
        let nest = buf.nest_start(1)?;
        buf.put(2, big.get(..0xffff - 4 - 4).ok_or(EINVAL)?)?;
        // Padding makes it 65536 bytes.
        assert_eq!(buf.nest_end(nest), Err(EMSGSIZE));
        buf.nest_cancel(nest);
        assert_eq!(buf.len(), 0);
        Ok(())
    }

    #[test]
    fn policies_are_the_kernels() -> Result {
        static POLICY: [NlaPolicy; 4] = [
            NlaPolicy::unspec(0),
            NlaPolicy::u32(),
            NlaPolicy::unspec(3),
            NlaPolicy::u32_range(1, 4096),
        ];
        let parse = |buf: &AttrBuf, validation| {
            nla_parse(buf.as_slice(), &POLICY, validation)
                .map(|attrs| attrs.map(|attr| attr.map(|attr| attr.len())))
        };

        let mut buf = AttrBuf::new();
        buf.put_u32(1, 5)?;
        buf.put(2, b"abc")?;
        buf.put(2, b"abcd")?;
        assert_eq!(
            parse(&buf, Validation::DeprecatedStrict),
            Ok([None, Some(4), Some(4), None])
        );

        let mut short = AttrBuf::new();
        short.put(1, &[0; 3])?;
        assert_eq!(parse(&short, Validation::Liberal), Err(ERANGE));

        let mut unknown = AttrBuf::new();
        unknown.put_u32(4, 1)?;
        assert_eq!(parse(&unknown, Validation::Liberal), Ok([None; 4]));
        assert_eq!(parse(&unknown, Validation::DeprecatedStrict), Err(EINVAL));

        for (value, ok) in [(0, false), (1, true), (4096, true), (4097, false)] {
            let mut range = AttrBuf::new();
            range.put_u32(3, value)?;
            assert_eq!(parse(&range, Validation::Liberal).is_ok(), ok);
        }
        Ok(())
    }

    #[test]
    fn messages_are_as_buffers() -> Result {
        let mut msg = NlMsg::new(64, GFP_KERNEL)?;
        let mut buf = AttrBuf::new();
        fn fill(w: &mut impl AttrWriter) -> Result {
            w.put_u32(1, 0x0102_0304)?;
            let nest = w.nest_start(2)?;
            w.put(3, b"xyz")?;
            w.put_str(4, c"name")?;
            w.nest_end(nest)?;
            let cancelled = w.nest_start(5)?;
            w.put_flag(6)?;
            w.nest_cancel(cancelled);
            w.put_u64_64bit(7, 1, 0)
        }
        fill(&mut *msg)?;
        fill(&mut buf)?;
        assert_eq!(msg.linear(), buf.as_slice());

        let room = msg.tailroom();
        assert_eq!(
            msg.put(1, KVec::from_elem(0u8, room, GFP_KERNEL)?.as_slice()),
            Err(EMSGSIZE)
        );
        assert_eq!(msg.linear(), buf.as_slice());

        msg.put_header(9, 5)?;
        msg.append_zeroes(5)?;
        msg.pad()?;
        let len = msg.len();
        assert_eq!(len, buf.len() + 12);
        assert_eq!(
            msg.linear()
                .get(buf.len()..)
                .and_then(Nlattr::first)
                .map(|a| a.len()),
            Some(5)
        );
        msg.set_nlmsg_len();
        assert_eq!(
            msg.linear().first_chunk(),
            Some(&(len as u32).to_ne_bytes())
        );
        Ok(())
    }

    /// Headers are read where they are.
    #[test]
    fn a_stream_is_aligned() -> Result {
        static POLICY: [NlaPolicy; 2] = NlaPolicy::table(&[(1, NlaPolicy::u32())]);

        let words = [0u32; 4];
        // SAFETY: The words are bytes.
        let bytes = unsafe { core::slice::from_raw_parts(words.as_ptr().cast::<u8>(), 16) };
        for (offset, aligned) in [(0, true), (1, false), (2, false), (3, false), (4, true)] {
            let parsed = nla_parse(&bytes[offset..offset], &POLICY, Validation::Liberal);
            assert_eq!(parsed.is_ok(), aligned);
        }
        Ok(())
    }

    /// No byte of a packet is left out between what is copied and what is
    /// referred to.
    #[test]
    fn a_packet_is_appended_whole() -> Result {
        const LEN: usize = 3000;

        // As it is in a part of a page, all of it may be referred to.
        let mut packet = SkBuff::dev_alloc_copy(&[0x5a; LEN], GFP_ATOMIC)?;
        assert_eq!(packet.zerocopy_headlen(), 0);
        for hlen in [1, 16, 64, 1500, LEN - 1] {
            let mut msg = NlMsg::new(64, GFP_KERNEL)?;
            assert!(msg.tailroom() < LEN);
            let appended = msg.append_skb(&mut packet, LEN, hlen);
            assert!(appended.is_err_and(|e| e == EINVAL));
        }
        // Only the beginning is wanted: then so much has to be copied.
        let mut msg = NlMsg::new(64, GFP_KERNEL)?;
        assert!(msg.append_skb(&mut packet, 2000, 1000).is_err());
        let mut msg = NlMsg::new(64, GFP_KERNEL)?;
        msg.append_skb(&mut packet, LEN, 0)?;
        Ok(())
    }
}
