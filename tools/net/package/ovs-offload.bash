# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2207
#
# Completion of ovs-offload for bash.
_ovs_offload() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} words
	case $prev in
	ovs-offload) words='show ports flows set monitor --help --version' ;;
	--dp) words=$(ovs-dpctl dump-dps 2>/dev/null | sed 's/^.*@//') ;;
	--state) words='software queued hardware refused failed no-space policy no-block delayed' ;;
	--after) words=default ;;
	--port | --ufid) return ;;
	*)
		words='--dp --json --help'
		case ${COMP_WORDS[1]} in
		flows) words+=' --state' ;;
		set) words+=' --port --ufid --after auto never always' ;;
		esac
		;;
	esac
	COMPREPLY=($(compgen -W "$words" -- "$cur"))
}
complete -F _ovs_offload ovs-offload
