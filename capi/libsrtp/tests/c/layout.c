/* Sizes and offsets of the interface, by whichever srtp.h is included. C11. */
#include <srtp2/srtp.h>

#include <stddef.h>

#define AT(member, offset) _Static_assert(offsetof(srtp_policy_t, member) == (offset), #member)

_Static_assert(sizeof(srtp_crypto_policy_t) == 24, "srtp_crypto_policy_t");
_Static_assert(sizeof(srtp_master_key_t) == 24, "srtp_master_key_t");
_Static_assert(sizeof(srtp_event_data_t) == 16, "srtp_event_data_t");
_Static_assert(sizeof(srtp_ssrc_t) == 8, "srtp_ssrc_t");
_Static_assert(sizeof(srtp_policy_t) == 128, "srtp_policy_t");
AT(ssrc, 0);
AT(rtp, 8);
AT(rtcp, 32);
AT(key, 56);
AT(keys, 64);
AT(num_master_keys, 72);
AT(deprecated_ekt, 80);
AT(window_size, 88);
AT(allow_repeat_tx, 96);
AT(enc_xtn_hdr, 104);
AT(enc_xtn_hdr_count, 112);
AT(next, 120);

int main(void)
{
    return 0;
}
