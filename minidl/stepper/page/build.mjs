// src/ -> step.js and step.css, without imports. The same source gives the same bytes; tests/stepper/test_bundle.py compares.

import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const into = process.argv[2] ?? here;

const result = await build({
  entryPoints: [{ in: join(here, "src/main.js"), out: "step" }, { in: join(here, "src/step.css"), out: "step" }],
  absWorkingDir: here,
  bundle: true,
  minify: true,
  format: "iife",
  target: "es2022",
  charset: "ascii",
  legalComments: "none", // they stand in LICENSES.txt
  metafile: true,
  outdir: into,
});

const packages = Object.keys(result.metafile.inputs)
  .map((path) => /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1])
  .filter(Boolean);
const notices = [...new Set(packages)].sort().map((name) => {
  const folder = join(here, "node_modules", name);
  const { version } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  return `${name} ${version}\n\n${readFileSync(join(folder, "LICENSE"), "utf8").trim()}\n`;
});
const head = "step.js contains code of the following packages, under the licences given with each.\n";
writeFileSync(join(into, "LICENSES.txt"), [head, ...notices].join(`\n${"-".repeat(80)}\n\n`));
