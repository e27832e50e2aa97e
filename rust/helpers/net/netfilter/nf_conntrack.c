// SPDX-License-Identifier: GPL-2.0

#include <net/netfilter/nf_conntrack.h>
#include <net/netfilter/nf_conntrack_act_ct.h>
#include <net/netfilter/nf_conntrack_core.h>
#include <net/netfilter/nf_conntrack_helper.h>
#include <net/netfilter/nf_conntrack_labels.h>
#include <net/netfilter/nf_conntrack_seqadj.h>
#include <net/netfilter/nf_conntrack_timeout.h>
#include <net/netfilter/nf_conntrack_zones.h>

#if IS_ENABLED(CONFIG_NF_CONNTRACK)
__rust_helper void rust_helper_nf_ct_get_ref(struct nf_conn *ct)
{
	nf_conntrack_get(&ct->ct_general);
}

__rust_helper void rust_helper_nf_ct_put(struct nf_conn *ct)
{
	nf_ct_put(ct);
}

__rust_helper bool rust_helper_nf_ct_shared(const struct nf_conn *ct)
{
	return nf_ct_shared(ct);
}

__rust_helper struct nf_conn *
rust_helper_nf_ct_tuplehash_to_ctrack(const struct nf_conntrack_tuple_hash *hash)
{
	return nf_ct_tuplehash_to_ctrack(hash);
}

__rust_helper void rust_helper_skb_set_ct_tmpl(struct sk_buff *skb, struct nf_conn *tmpl)
{
	nf_reset_ct(skb);
	nf_conntrack_get(&tmpl->ct_general);
	nf_ct_set(skb, tmpl, IP_CT_NEW);
}

__rust_helper int rust_helper_nf_conntrack_confirm(struct sk_buff *skb)
{
	return nf_conntrack_confirm(skb);
}

__rust_helper void rust_helper_nf_ct_deliver_cached_events(struct nf_conn *ct)
{
	nf_ct_deliver_cached_events(ct);
}

__rust_helper void rust_helper_nf_conntrack_event_cache(enum ip_conntrack_events event,
							struct nf_conn *ct)
{
	nf_conntrack_event_cache(event, ct);
}

__rust_helper void rust_helper_nf_ct_set_ctmask(struct nf_conn *ct, u32 ctmask)
{
	struct nf_conntrack_ecache *cache = nf_ct_ecache_find(ct);

	if (cache)
		cache->ctmask = ctmask;
}

__rust_helper struct nf_conn_labels *rust_helper_nf_ct_labels_find(const struct nf_conn *ct)
{
	return nf_ct_labels_find(ct);
}

__rust_helper void rust_helper_nf_ct_labels_ext_add(struct nf_conn *ct)
{
	nf_ct_labels_ext_add(ct);
}

__rust_helper bool rust_helper_nfct_has_help(const struct nf_conn *ct)
{
	return nfct_help(ct);
}

__rust_helper bool rust_helper_nfct_help_is_other(const struct nf_conn *ct,
						  const struct nf_conntrack_helper *helper)
{
	const struct nf_conn_help *help = nfct_help(ct);

	return help && rcu_access_pointer(help->helper) != helper;
}

__rust_helper bool rust_helper_nfct_seqadj_ext(struct nf_conn *ct)
{
	return nfct_seqadj(ct) || nfct_seqadj_ext_add(ct);
}

__rust_helper bool rust_helper_nf_ct_same_timeout(const struct nf_conn *ct,
						  const struct nf_conn *tmpl)
{
	const struct nf_conn_timeout *ct_ext = nf_ct_timeout_find(ct);
	const struct nf_conn_timeout *tmpl_ext = nf_ct_timeout_find(tmpl);

	return ct_ext && tmpl_ext &&
	       rcu_access_pointer(ct_ext->timeout) == rcu_access_pointer(tmpl_ext->timeout);
}

__rust_helper void rust_helper_nf_conn_act_ct_ext_fill(struct sk_buff *skb, struct nf_conn *ct,
						       enum ip_conntrack_info ctinfo)
{
	nf_conn_act_ct_ext_fill(skb, ct, ctinfo);
}

__rust_helper void rust_helper_nf_conn_act_ct_ext_add(struct sk_buff *skb, struct nf_conn *ct,
						      enum ip_conntrack_info ctinfo)
{
	nf_conn_act_ct_ext_add(skb, ct, ctinfo);
}

__rust_helper bool rust_helper_nf_conntrack_tcp_established(const struct nf_conn *ct)
{
	return nf_conntrack_tcp_established(ct);
}

__rust_helper void rust_helper_nf_ct_set_tcp_be_liberal(struct nf_conn *ct)
{
	nf_ct_set_tcp_be_liberal(ct);
}
#endif
