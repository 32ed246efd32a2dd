/**
 * Packs every public package as it would be published and checks what is inside: that the manifest
 * and the files agree (publint), and that types resolve for whoever imports it (attw).
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { bin, run } from './steps.js'

const publint = bin('publint', 'src/cli.js')
const attw = bin('@arethetypeswrong/cli', 'dist/index.js')

for (const folder of publicPackages()) {
  const destination = mkdtempSync(join(tmpdir(), 'coracle-packaging-'))
  try {
    await mustSucceed('pnpm', ['--dir', folder, 'pack', '--pack-destination', destination])
    for (const archive of readdirSync(destination).map((file) => join(destination, file))) {
      await mustSucceed(process.execPath, [publint, 'run', archive, '--strict'])
      await mustSucceed(process.execPath, [attw, archive, '--profile', 'esm-only'])
    }
  } finally {
    rmSync(destination, { recursive: true })
  }
}

function publicPackages() {
  return readdirSync('packages')
    .map((name) => join('packages', name))
    .filter((folder) => {
      const file = join(folder, 'package.json')
      return existsSync(file) && JSON.parse(readFileSync(file, 'utf8')).private !== true
    })
}

/** Whatever fails shows what it printed, and the rest is checked all the same. */
async function mustSucceed(program, args) {
  const { ok, output } = await run(program, args, 'pipe')
  if (ok) return
  process.stderr.write(output)
  process.exitCode = 1
}
