// Blobs that are sent before their image is: each registry gets them once, failures stay without
// consequence, and the transfer afterwards finds what is there.
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include <fnimage/registry/memory_store.hpp>
#include <fnimage/registry/transfer.hpp>
#include <fnimage/registry/upload_ahead.hpp>
#include <fnimage/test/memory_registry.hpp>

#include "client_fixture.hpp"

namespace fnimage::registry {
namespace {

using test::is_ok;
using test::MemoryRegistry;
using test::Reply;
using test::SeenRequest;
using test::unwrap;

const std::string layer(200'000, 'l');

std::vector<std::unique_ptr<ImageStore>> stores_of(TestClient& client,
                                                   const std::vector<std::string>& names) {
  std::vector<std::unique_ptr<ImageStore>> stores;
  for (const std::string& name : names) {
    stores.push_back(client.repository(name));
  }
  return stores;
}

TEST(UploadAhead, TransferFindsWhatWasSent) {
  MemoryRegistry registry;
  TestClient client({.plain_http = true});
  UploadAhead ahead(stores_of(client, {registry.address() + "/a"}), 2, null_diagnostics());
  ahead.send(blob_of(layer), memory_content(layer));
  ahead.finish();

  const auto from = make_memory_store("from");
  const manifest::Document image = image_of("{}", {layer, "other"});
  for (const std::string& bytes : {layer, std::string("other"), std::string("{}")}) {
    EXPECT_THAT(from->put_blob(blob_of(bytes), *memory_content(bytes), {}), is_ok());
  }
  EXPECT_THAT(from->put_manifest(image, "t"), is_ok());
  const auto store = client.repository(registry.address() + "/a");
  TransferOptions options;
  options.tags = {"t"};
  TransferResult result =
      unwrap(transfer(*from, std::string("t"), *store, options, null_diagnostics()));
  EXPECT_EQ(result.blobs_existed, 1U);
  EXPECT_EQ(result.blobs_uploaded, 2U);
  ahead.correct(*store->repository(), result);
  EXPECT_EQ(result.blobs_existed, 0U);
  EXPECT_EQ(result.blobs_uploaded, 3U);
  EXPECT_EQ(result.bytes_uploaded, layer.size() + 7);
}

TEST(UploadAhead, EachRegistryGetsABlobOnce) {
  std::atomic<int> puts = 0;
  MemoryRegistry registry({.instead = [&](const SeenRequest& request) -> std::optional<Reply> {
    puts += request.method == "PUT" ? 1 : 0;
    return std::nullopt;
  }});
  TestClient client({.plain_http = true});
  const std::string address = registry.address();
  UploadAhead ahead(stores_of(client, {address + "/a", address + "/b"}), 2, null_diagnostics());
  ahead.send(blob_of(layer), memory_content(layer));
  ahead.finish();
  EXPECT_EQ(puts, 1);
  EXPECT_TRUE(unwrap(client.repository(address + "/a")->has_blob(blob_of(layer))));
  EXPECT_FALSE(unwrap(client.repository(address + "/b")->has_blob(blob_of(layer))));
}

TEST(UploadAhead, FailureIsNotItsConcernAndEndsIt) {
  std::atomic<int> requests = 0;
  MemoryRegistry registry({.instead = [&](const SeenRequest& request) {
    requests += request.target == "/v2/" ? 0 : 1;
    return std::optional(Reply{.status = 403});
  }});
  TestClient client({.plain_http = true});
  UploadAhead ahead(stores_of(client, {registry.address() + "/a"}), 1, null_diagnostics());
  ahead.send(blob_of(layer), memory_content(layer));
  ahead.finish();
  const int first = requests;
  EXPECT_GT(first, 0);
  ahead.send(blob_of("other"), memory_content("other"));
  ahead.finish();
  EXPECT_EQ(requests, first);
  TransferResult result{.root = blob_of(layer), .blobs_existed = 1};
  ahead.correct({registry.address(), "a"}, result);
  EXPECT_EQ(result.blobs_uploaded, 0U);
}

}  // namespace
}  // namespace fnimage::registry
