#!/usr/bin/env python3
"""Lock files, bundles and package sources, over a small mirror of the tests' own."""
import json
import shutil

import command
import debian_mirror


def tool_files(arch):
    return {"usr/bin/tool": f"#!/usr/bin/tool\n{arch}\n"}


class LockTest(debian_mirror.MirrorTest):
    def setUp(self):
        super().setUp()
        self.mirror.add("stable1", "base-files", files={"etc/os-release": "ID=test\n"})
        self.mirror.add("stable1", "tool", "1.0", Depends="tool-data", files=tool_files)
        self.mirror.add("stable1", "tool-data", "1.0", "all", Depends="big", Recommends="extra, none")
        self.mirror.add("stable1", "big", "2.0-1", "amd64", Installed_Size=1000)
        self.mirror.add("stable1", "big", "2.0-1+b1", "ppc64el", Installed_Size=1000)
        self.mirror.add("stable1", "extra", "1.0", "all")
        self.mirror.publish("stable1")
        self.use("tool")

    @property
    def lock(self):
        return self.project / "fnimage.lock"

    def locked(self):
        return {(one["name"], one["arch"]): one["version"]
                for one in json.loads(self.lock.read_text())["locked"]}

    def built(self, *arguments, code=0):
        done = self.run_command("build", "--no-check", "--json", *arguments)
        self.assertEqual(code, done.returncode, done.stdout + done.stderr)
        return json.loads(done.stdout)["list"]["digest"] if code == 0 else done

    def forget(self):
        shutil.rmtree(self.home / ".cache", ignore_errors=True)

    def update_tool(self):
        self.mirror.add("stable1", "tool", "1.1", Depends="tool-data", files=tool_files)
        self.mirror.remove("stable1", "tool", "1.0")
        self.mirror.publish("stable1")


class Lock(LockTest):
    def test_names_every_package_of_every_platform(self):
        done = self.succeed("lock")
        self.assertIn("linux/ppc64le          4 packages", done.stdout)
        self.assertEqual({("base-files", "amd64"): "1.0", ("base-files", "ppc64el"): "1.0",
                          ("big", "amd64"): "2.0-1", ("big", "ppc64el"): "2.0-1+b1",
                          ("tool", "amd64"): "1.0", ("tool", "ppc64el"): "1.0",
                          ("tool-data", "all"): "1.0"}, self.locked())
        self.assertIn("big 2.0-1 on linux/amd64, 2.0-1+b1 on linux/ppc64le (rebuilt", done.stdout)
        text = self.lock.read_text()
        self.assertNotIn(str(self.scratch), text)  # no address of a mirror
        self.assertIn("unchanged", self.succeed("lock").stdout)
        self.assertEqual(text, self.lock.read_text())

    def test_a_build_with_it_is_the_build_without(self):
        free = self.built()
        self.succeed("lock")
        self.assertEqual(free, self.built())
        self.forget()
        # Neither releases nor indexes are looked at.
        shutil.rmtree(self.mirror.root / "dists")
        self.assertEqual(free, self.built("--locked"))

    def test_newer_versions_wait_for_the_next_lock(self):
        self.succeed("lock")
        before = self.built()
        self.mirror.add("stable1", "tool", "1.1", Depends="tool-data", files=tool_files)
        self.mirror.publish("stable1")
        self.assertEqual(before, self.built())
        self.refuse(12, ["fnimage.lock is not what the package sources give now"], "lock", "--check")
        self.assertEqual("1.0", self.locked()[("tool", "amd64")])
        done = self.succeed("lock")
        self.assertIn("~ tool 1.0 -> 1.1 (linux/amd64, linux/ppc64le)", done.stdout)
        self.assertNotEqual(before, self.built())
        self.succeed("lock", "--check")

    def test_a_version_that_is_gone_is_named_with_the_way_out(self):
        self.succeed("lock")
        self.update_tool()
        self.refuse(4, ["fetch package tool 1.0 (amd64)", "does not exist", "`fnimage lock`",
                        "--bundle"], "build", "--no-check")
        self.assertEqual([], self.stored_tags())

    def test_a_build_file_that_changed_needs_a_new_lock(self):
        self.succeed("lock")
        self.use("tool", "extra")
        self.refuse(3, ["asks for extra", "fnimage lock"], "build", "--no-check")
        self.use("tool", more="  essential: true\n")
        self.refuse(3, ["other sources of packages"], "build", "--no-check")
        self.use("tool")
        self.built()
        self.use("tool", "extra")
        self.succeed("lock")
        self.use("tool")
        self.refuse(3, ["no longer asks for extra", "fnimage lock"], "build", "--no-check")

    def test_a_platform_that_is_not_locked(self):
        self.succeed("lock")
        text = (self.project / "fnimage.yaml").read_text()
        self.write_spec(text.replace("linux/amd64, linux/ppc64le", "linux/ppc64le"))
        self.built()
        self.succeed("lock")
        self.write_spec(text)
        self.refuse(13, ["linux/amd64", "has no packages for it", "fnimage lock"], "build",
                    "--no-check")

    def test_locked_demands_it(self):
        self.refuse(4, ["there is no", "fnimage.lock", "fnimage lock"], "build", "--locked")

    def test_another_build_file_has_its_own(self):
        shutil.copy(self.project / "fnimage.yaml", self.project / "gpu.yaml")
        self.succeed("lock", "-f", "gpu.yaml")
        self.assertTrue((self.project / "gpu.lock").exists())
        self.assertFalse(self.lock.exists())
        self.built("-f", "gpu.yaml", "--locked")

    def test_what_cannot_be_read_is_refused_by_build_and_replaced_by_lock(self):
        self.succeed("lock")
        good = self.lock.read_text()
        entry = json.loads(good)["locked"][0]
        for bad in ("", "{}", "[]", good[:-40], good.replace('"fnimage-lock": 1', '"fnimage-lock": 2'),
                    good.replace(entry["file"], "pool/../../../etc/shadow"),
                    good.replace(entry["sha256"], "00"), good.replace("base-files", "../x"),
                    good.replace('"name":"big"', '"name":"tool"'),
                    good.replace(f'"size":{entry["size"]}', '"size":-1')):
            self.lock.write_text(bad)
            done = self.run_command("build", "--no-check")
            self.assertIn(done.returncode, (3, 15), bad + done.stderr)
            self.assertIn("fnimage.lock", done.stderr)
            self.assertIn("fnimage lock", done.stderr)
        done = self.succeed("lock")
        self.assertIn("it is replaced", done.stderr)
        self.assertEqual(good, self.lock.read_text())

    def test_a_changed_hash_is_noticed(self):
        self.succeed("lock")
        entry = json.loads(self.lock.read_text())["locked"][0]
        self.lock.write_text(self.lock.read_text().replace(entry["sha256"], "0" * 64))
        self.refuse(12, [entry["name"]], "build", "--no-check")

    def test_explain_says_what_an_exclusion_saves(self):
        done = self.succeed("lock", "--explain", "--json")
        self.assertFalse(self.lock.exists())
        packages = {one["name"]: one for one in json.loads(done.stdout)["platforms"][0]["packages"]}
        self.assertEqual(["tool", "tool-data"], packages["big"]["wanted_by"])
        self.assertEqual([], packages["tool"]["wanted_by"])
        self.assertEqual(1000 * 1024, packages["big"]["saves"])
        self.assertEqual((1001 * 1024, 2),
                         (packages["tool-data"]["saves"], packages["tool-data"]["saves_packages"]))
        self.assertEqual(3, packages["tool"]["saves_packages"])
        self.assertIn("tool -> tool-data", self.succeed("lock", "--explain").stdout)

    def test_only_packages_can_be_locked(self):
        self.write_spec(command.SPEC)
        self.refuse(2, ["nothing to lock"], "lock")

    def test_a_lock_that_fails_leaves_the_old_one(self):
        self.succeed("lock")
        before = self.lock.read_text()
        self.use("tool", "nosuch")
        self.refuse(4, ["nosuch"], "lock")
        self.assertEqual(before, self.lock.read_text())
        self.assertEqual([], list(self.project.glob(".tmp-*")))


class Bundle(LockTest):
    def setUp(self):
        super().setUp()
        self.bundle = self.scratch / "bundle"

    def test_builds_without_any_mirror(self):
        self.succeed("lock", "--bundle", self.bundle)
        expected = self.built()
        shutil.rmtree(self.mirror.root)
        self.forget()
        self.assertEqual(expected, self.built("--offline", "--bundle", self.bundle))
        self.lock.unlink()  # the bundle has one
        self.assertEqual(expected, self.built("--offline", "--bundle", self.bundle))

    def test_a_lock_that_is_there_is_bundled_as_it_is(self):
        self.succeed("lock")
        self.mirror.add("stable1", "tool", "1.1", Depends="tool-data", files=tool_files)
        self.mirror.publish("stable1")
        self.succeed("lock", "--bundle", self.bundle)
        self.assertEqual("1.0", self.locked()[("tool", "amd64")])
        self.assertTrue((self.bundle / "tool_1.0_amd64.deb").exists())

    def test_what_is_damaged_or_missing_is_named(self):
        self.succeed("lock", "--bundle", self.bundle)
        deb = self.bundle / "tool_1.0_ppc64el.deb"
        data = bytearray(deb.read_bytes())
        data[len(data) // 2] ^= 1
        deb.write_bytes(data)
        self.forget()
        self.refuse(12, ["tool_1.0_ppc64el.deb is damaged", "--bundle"], "build", "--no-check",
                    "--offline", "--bundle", self.bundle)
        deb.unlink()
        self.refuse(4, ["package tool 1.0 (ppc64el)", "not in the bundle", "--bundle"], "build",
                    "--no-check", "--offline", "--bundle", self.bundle)
        self.succeed("lock", "--bundle", self.bundle)
        self.built("--offline", "--bundle", self.bundle)

    def test_needs_a_lock(self):
        self.refuse(4, ["there is no"], "build", "--bundle", self.bundle)


class Sources(LockTest):
    def repository(self, mirror, suite, more=""):
        return (f"  repositories:\n    - {{url: '{mirror.url}', suite: {suite}, "
                f"signed-by: key.asc}}\n{more}")

    def test_a_second_archive(self):
        vendor = debian_mirror.Mirror(self.scratch / "vendor", self.keyring)
        vendor.add("vendor1", "solver", "3.0", Depends="tool (>= 1.0)")
        vendor.publish("vendor1")
        self.use("solver", more=self.repository(vendor, "vendor1"))
        self.succeed("lock")
        self.assertEqual("3.0", self.locked()[("solver", "ppc64el")])
        self.assertEqual("1.0", self.locked()[("tool", "ppc64el")])
        self.built("--locked")
        # And one that somebody else signed is refused.
        other = debian_mirror.Keyring(self.scratch / "other")
        self.addCleanup(other.close)
        vendor.keyring = other
        vendor.publish("vendor1")
        self.refuse(12, ["vendor1", "InRelease"], "lock")

    def test_backports_are_taken_when_asked_for(self):
        self.mirror.add("stable1-backports", "tool", "2.0", Depends="tool-data (>= 2.0)",
                        files=tool_files)
        self.mirror.add("stable1-backports", "tool-data", "2.0", "all")
        self.mirror.publish("stable1-backports", NotAutomatic="yes", ButAutomaticUpgrades="yes")
        more = self.repository(self.mirror, "stable1-backports")
        self.use("tool", more=more)
        self.succeed("lock")
        self.assertEqual("1.0", self.locked()[("tool", "amd64")])
        self.use("tool/stable1-backports", more=more)
        self.succeed("lock")
        self.assertEqual(("2.0", "2.0"), (self.locked()[("tool", "amd64")],
                                          self.locked()[("tool-data", "all")]))
        self.built("--locked")
        self.use("tool/nosuch", more=more)
        self.refuse(4, ["tool is not in the suite nosuch"], "lock")

    def test_recommended_packages_as_far_as_there_are(self):
        self.use("tool", more="  recommends: true\n")
        self.succeed("lock")
        self.assertIn(("extra", "all"), self.locked())
        self.use("tool")
        self.succeed("lock")
        self.assertNotIn(("extra", "all"), self.locked())

    def test_a_deb_of_this_machine_with_what_it_needs(self):
        for arch in self.mirror.architectures:
            debian_mirror.make_deb(self.project / f"solver_{arch}.deb", "solver", "9.9", arch,
                                   {"Depends": "tool"}, {"usr/lib/solver": arch},
                                   self.scratch / "work")
        self.use('"./solver_{deb_arch}.deb"')
        self.succeed("lock")
        self.assertEqual(("9.9", "1.0"), (self.locked()[("solver", "ppc64el")],
                                          self.locked()[("tool", "ppc64el")]))
        expected = self.built()
        bundle = self.scratch / "bundle"
        self.succeed("lock", "--bundle", bundle)
        (self.project / "solver_amd64.deb").unlink()
        self.forget()
        self.assertEqual(expected, self.built("--offline", "--bundle", bundle))
        self.use("./solver_ppc64el.deb")
        self.refuse(13, ["solver_ppc64el.deb is for ppc64el, not for amd64", "{deb_arch}"], "lock")

    def test_a_local_deb_made_anew_is_noticed(self):
        target = self.project / "solver.deb"

        def make(text):
            debian_mirror.make_deb(target, "solver", "9.9", "all", {}, {"usr/lib/solver": text},
                                   self.scratch / "work")

        make("one")
        self.use("./solver.deb", "tool")
        self.succeed("lock")
        make("another")
        self.refuse(12, ["solver.deb", "fnimage lock"], "build", "--no-check")
        self.succeed("lock")
        self.built()

    def test_a_snapshot_is_judged_as_of_its_time(self):
        archive = debian_mirror.Mirror(self.scratch / "archive/20240102T000000Z", self.keyring)
        archive.add("stable1", "base-files", "0.9", files={"etc/os-release": "ID=test\n"})
        archive.add("stable1", "tool", "0.5", files=tool_files)
        archive.publish("stable1", date="Mon, 01 Jan 2024 12:00:00 UTC",
                        valid_until="Mon, 08 Jan 2024 12:00:00 UTC")
        url = self.mirror.url
        placed = f"file://{self.scratch}/archive/{{snapshot}}"
        self.use("tool", more="  snapshot: 20249902T000000Z\n")
        self.refuse(3, ["not the time of a snapshot"], "lock")
        self.use("tool", more="  snapshot: 20240102T000000Z\n")
        self.refuse(3, ["snapshot", "mirror"], "lock")
        text = (self.project / "fnimage.yaml").read_text().replace(url, f"'{placed}'")
        self.write_spec(text)
        self.succeed("lock")
        self.assertEqual("0.5", self.locked()[("tool", "amd64")])
        self.built("--locked")
        # What was no longer valid then is refused, and so is what is of later.
        for date, until, word in (("Mon, 01 Jan 2024 12:00:00 UTC", "Mon, 01 Jan 2024 13:00:00 UTC",
                                   "expired"),
                                  ("Fri, 05 Jan 2024 12:00:00 UTC", "Mon, 08 Jan 2024 12:00:00 UTC",
                                   "future")):
            archive.publish("stable1", date=date, valid_until=until)
            self.refuse(12, [word], "lock")


if __name__ == "__main__":
    command.main()
