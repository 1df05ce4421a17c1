// Sessions with owners: what a C++ program wraps around keyflip.h once.
//
//     c++ -std=c++17 session.cpp $(pkg-config --cflags --libs keyflip) && ./a.out
#include <keyflip.h>

#include <array>
#include <cstdio>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

namespace keyflip {

struct error : std::runtime_error {
    explicit error(std::int32_t code) : std::runtime_error(keyflip_error_text(code)), code(code) {}
    std::int32_t code;
};

inline std::int32_t check(std::int32_t code)
{
    if (code < 0) {
        throw error(code);
    }
    return code;
}

// Master key and master salt, wiped with their owner.
class key_material {
public:
    explicit key_material(std::vector<std::uint8_t> octets) : octets_(std::move(octets)) {}
    key_material(const key_material &) = delete;
    key_material &operator=(const key_material &) = delete;
    ~key_material() { keyflip_wipe(octets_.data(), octets_.size()); }

    keyflip_key get() const
    {
        keyflip_key key{};
        key.key = octets_.data();
        key.key_len = octets_.size();
        return key;
    }

private:
    std::vector<std::uint8_t> octets_;
};

// Owns a session. Any thread may call anything, also while the owner lets it go: late calls are errors.
class session {
public:
    session(std::uint32_t profile, const key_material &inbound, const key_material &outbound)
    {
        const keyflip_key in = inbound.get(), out = outbound.get();
        keyflip_session_config config{};
        config.size = sizeof config;
        config.profile = profile;
        config.inbound = &in;
        config.inbound_count = 1;
        config.outbound = &out;
        check(keyflip_session_new(&config, &handle_));
    }
    session(session &&other) noexcept : handle_(std::exchange(other.handle_, 0)) {}
    session &operator=(session &&other) noexcept
    {
        std::swap(handle_, other.handle_);
        return *this;
    }
    ~session() { keyflip_session_free(handle_); }

    keyflip_session handle() const { return handle_; }

    void rekey(std::uint32_t direction, const key_material &key)
    {
        const keyflip_key next = key.get();
        check(keyflip_rekey(handle_, direction, &next, nullptr, nullptr));
    }

    // Grows the packet by its trailer.
    void protect(std::vector<std::uint8_t> &packet)
    {
        const auto len = packet.size();
        packet.resize(len + static_cast<std::size_t>(check(keyflip_overhead(handle_, KEYFLIP_PROTOCOL_RTP))));
        const auto sealed = keyflip_protect_rtp(handle_, packet.data(), len, packet.size());
        packet.resize(sealed < 0 ? len : static_cast<std::size_t>(sealed));
        check(sealed);
    }

    void unprotect(std::vector<std::uint8_t> &packet)
    {
        packet.resize(static_cast<std::size_t>(check(keyflip_unprotect_rtp(handle_, packet.data(), packet.size()))));
    }

private:
    keyflip_session handle_ = 0;
};

} // namespace keyflip

int main()
{
    const keyflip::key_material first(std::vector<std::uint8_t>(30, 1)), second(std::vector<std::uint8_t>(30, 2));
    keyflip::session session(KEYFLIP_PROFILE_AES128_CM_SHA1_80, first, first);

    const std::vector<std::uint8_t> plain{0x80, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7, 'h', 'i', '!'};
    auto packet = plain;
    session.protect(packet);

    // A rekey while the packet is in flight.
    session.rekey(KEYFLIP_DIRECTION_INBOUND, second);
    session.rekey(KEYFLIP_DIRECTION_OUTBOUND, second);
    session.unprotect(packet);
    if (packet != plain) {
        return 1;
    }

    // A thread that outlives the session it was given meets an error, and no dangling pointer.
    const auto late = session.handle();
    {
        const keyflip::session gone = std::move(session);
    }
    std::int32_t code = 0;
    std::thread([&] { code = keyflip_unprotect_rtp(late, packet.data(), packet.size()); }).join();
    std::printf("packet in flight: accepted; session gone: %s\n", keyflip_error_name(code));
    return code == KEYFLIP_ERR_BAD_HANDLE ? 0 : 1;
}
