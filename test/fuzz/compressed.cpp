// Compressed streams: gzip, zstd, xz, or none, as layers, packages and indexes come. What comes out
// does not depend on how it is asked for, and nothing that is cut or damaged ends like a whole
// stream of other content.
#include <fnimage/layer/compression.hpp>

#include "fuzz.hpp"

namespace fnimage::fuzz {
namespace {

constexpr std::size_t max_output = std::size_t{4} << 20;

struct Output {
  std::string text;
  bool ended = false;
};

Output decompress(std::string_view bytes, std::size_t input_piece, std::size_t output_piece) {
  Output output;
  const auto reader =
      layer::decompressing_reader(std::make_unique<PieceReader>(bytes, input_piece));
  if (!succeeded(reader)) {
    return output;
  }
  std::string buffer(output_piece, '\0');
  while (output.text.size() < max_output) {
    const Result<std::size_t> got =
        (*reader)->read(std::as_writable_bytes(std::span(buffer.data(), buffer.size())));
    if (!succeeded(got)) {
      return output;
    }
    if (*got == 0) {
      output.ended = true;
      const auto again =
          (*reader)->read(std::as_writable_bytes(std::span(buffer.data(), buffer.size())));
      require(again.has_value() && *again == 0, "an end stays an end");
      return output;
    }
    require(*got <= buffer.size(), "no more bytes come than fit");
    output.text.append(buffer, 0, *got);
  }
  output.text.resize(max_output);
  return output;
}

}  // namespace
}  // namespace fnimage::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace fnimage::fuzz;
  const std::string_view bytes = text_of(data, size);
  const Output whole = decompress(bytes, 65536, 65536);
  const Output pieces = decompress(bytes, 100, 1000);
  require(whole.ended == pieces.ended && (!whole.ended || whole.text == pieces.text),
          "it does not matter how the bytes come");
  return 0;
}
