"""The manifests that install the controller: they parse, and what they say of each other is true."""
import base64
import pathlib
import subprocess
import tempfile
import unittest

import yaml

DEPLOY = pathlib.Path(__file__).resolve().parent.parent / "deploy"


def objects(text):
    return {document["kind"]: document for document in yaml.safe_load_all(text)}


class ManifestsTest(unittest.TestCase):
    installed = objects((DEPLOY / "controller.yaml").read_text())
    webhook = objects((DEPLOY / "webhook.yaml").read_text())["MutatingWebhookConfiguration"]

    def test_the_webhook_leads_to_the_controller(self):
        client = self.webhook["webhooks"][0]["clientConfig"]["service"]
        service, deployment = self.installed["Service"], self.installed["Deployment"]
        self.assertEqual((service["metadata"]["name"], service["metadata"]["namespace"]), (client["name"], client["namespace"]))
        self.assertEqual(service["spec"]["ports"][0]["port"], client["port"])
        template = deployment["spec"]["template"]
        self.assertEqual(service["spec"]["selector"], template["metadata"]["labels"])
        self.assertEqual(deployment["spec"]["selector"]["matchLabels"], template["metadata"]["labels"])
        controller = template["spec"]["containers"][0]
        self.assertIn(service["spec"]["ports"][0]["targetPort"], [port["name"] for port in controller["ports"]])
        self.assertIn(f"--listen=0.0.0.0:{controller['ports'][0]['containerPort']}", controller["args"])

    def test_the_controller_does_not_wait_for_itself(self):
        excluded = self.webhook["webhooks"][0]["namespaceSelector"]["matchExpressions"][0]
        self.assertEqual(["NotIn", ["kube-system", self.installed["Namespace"]["metadata"]["name"]]],
                         [excluded["operator"], excluded["values"]])

    def test_what_the_controller_reads_is_mounted(self):
        spec = self.installed["Deployment"]["spec"]["template"]["spec"]
        controller = spec["containers"][0]
        mounted = {mount["mountPath"] for mount in controller["volumeMounts"]}
        for argument in controller["args"]:
            _, _, value = argument.partition("=")
            if value.startswith("/"):
                self.assertTrue(any(value.startswith(path) for path in mounted), argument)
        self.assertEqual({volume["name"] for volume in spec["volumes"]},
                         {mount["name"] for container in spec["containers"] for mount in container["volumeMounts"]})

    def test_certificates_are_of_the_services_name(self):
        service = self.installed["Service"]["metadata"]
        name = f"{service['name']}.{service['namespace']}.svc"
        text = subprocess.run([DEPLOY / "make-certificate.sh"], check=True, capture_output=True, text=True).stdout
        made = objects(text)
        secret = made["Secret"]
        volumes = self.installed["Deployment"]["spec"]["template"]["spec"]["volumes"]
        self.assertIn({"name": "tls", "secret": {"secretName": secret["metadata"]["name"]}}, volumes)
        authority = made["MutatingWebhookConfiguration"]["webhooks"][0]["clientConfig"]["caBundle"]
        with tempfile.TemporaryDirectory(prefix="fnimage-tls-") as scratch:
            for file, content in (("ca", authority), ("crt", secret["data"]["tls.crt"])):
                pathlib.Path(scratch, file).write_bytes(base64.b64decode(content))
            subprocess.run(["openssl", "verify", "-CAfile", "ca", "-verify_hostname", name, "crt"], cwd=scratch, check=True,
                           capture_output=True)
        manager = objects((DEPLOY / "cert-manager.yaml").read_text())["Certificate"]
        self.assertIn(name, manager["spec"]["dnsNames"])
        self.assertEqual(secret["metadata"]["name"], manager["spec"]["secretName"])


if __name__ == "__main__":
    unittest.main()
