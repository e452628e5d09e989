// network.cc - a C++ program on libcomputenetwork: handles and strings that give themselves back, failures that are thrown.

#include <cstdio>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>

#include "computenetwork.h"

namespace {

struct Free {
    void operator()(char16_t *text) const { HostComputeFree(text); }
};
using String = std::unique_ptr<char16_t, Free>;

struct CloseNetwork {
    void operator()(void *network) const { HcnCloseNetwork(network); }
};
using Network = std::unique_ptr<void, CloseNetwork>;

// ASCII for messages.
std::string narrow(const char16_t *text)
{
    std::string narrowed;
    for (; text && *text; text++)
        narrowed += *text < 128 ? static_cast<char>(*text) : '?';
    return narrowed;
}

class Failure : public std::runtime_error {
public:
    Failure(HRESULT code, const char16_t *record) : std::runtime_error(narrow(record)), code(code) {}
    const HRESULT code;
};

// Calls a function whose last argument is the place for an error record.
template <typename Function, typename... Arguments> void call(Function function, Arguments... arguments)
{
    PWSTR record = nullptr;
    const HRESULT code = function(arguments..., &record);
    const String owned(record);
    if (HOSTCOMPUTE_FAILED(code))
        throw Failure(code, record);
    if (record)
        throw std::logic_error("a record of a success");
}

Network create(const std::u16string &settings)
{
    HCN_NETWORK network = nullptr;
    call(HcnCreateNetwork, static_cast<const GUID *>(nullptr), settings.c_str(), &network);
    return Network(network);
}

String properties(const Network &network)
{
    PWSTR text = nullptr;
    call(HcnQueryNetworkProperties, network.get(), u"{\"SchemaVersion\":{\"Major\":2,\"Minor\":0}}", &text);
    return String(text);
}

// The id in a list of one.
GUID only(const std::string &list)
{
    GUID id = {};
    unsigned fields[11] = {};
    if (std::sscanf(list.c_str(), "[\"%8x-%4x-%4x-%2x%2x-%2x%2x%2x%2x%2x%2x\"]", &fields[0], &fields[1], &fields[2], &fields[3],
            &fields[4], &fields[5], &fields[6], &fields[7], &fields[8], &fields[9], &fields[10])
        != 11)
        throw std::runtime_error("not a list of one id: " + list);
    id.Data1 = fields[0];
    id.Data2 = static_cast<uint16_t>(fields[1]);
    id.Data3 = static_cast<uint16_t>(fields[2]);
    for (int i = 0; i < 8; i++)
        id.Data4[i] = static_cast<uint8_t>(fields[3 + i]);
    return id;
}

} // namespace

int main()
{
    try {
        const Network network = create(u"{\"Name\":\"grün\",\"Type\":\"Private\"}");
        const String document = properties(network);
        if (std::u16string(document.get()).find(u"\"grün\"") == std::u16string::npos)
            throw std::runtime_error("the name came back otherwise");

        PWSTR listed = nullptr;
        call(HcnEnumerateNetworks, u"{\"Filter\":\"{\\\"Name\\\":\\\"grün\\\"}\",\"SchemaVersion\":{\"Major\":2,\"Minor\":0}}", &listed);
        const String list(listed);
        const GUID id = only(narrow(list.get()));
        call(HcnDeleteNetwork, &id);
        try {
            properties(network);
            throw std::logic_error("a deleted network has properties");
        } catch (const Failure &failure) {
            if (failure.code != static_cast<HRESULT>(0x803b0001))
                throw;
        }
        std::cout << "network.cc: ok" << std::endl;
        return 0;
    } catch (const Failure &failure) {
        std::cerr << "network.cc: 0x" << std::hex << static_cast<uint32_t>(failure.code) << ' ' << failure.what() << std::endl;
    } catch (const std::exception &error) {
        std::cerr << "network.cc: " << error.what() << std::endl;
    }
    return 1;
}
