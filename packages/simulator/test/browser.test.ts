import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createContext, runInContext } from 'node:vm'
import { fileURLToPath } from 'node:url'
import { build } from 'tsup'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { simulate } from '../src/index.ts'

const SEEDS = [3, 5]
const source = fileURLToPath(new URL('../src/index.ts', import.meta.url))
let folder = ''
let bundle = ''

/** One script for a browser: whatever imports a module of Node cannot be resolved. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'coracle-browser-'))
  const entry = join(folder, 'entry.ts')
  await writeFile(
    entry,
    `import { simulate } from ${JSON.stringify(source)}
globalThis.simulateAll = async (seeds) => {
  const prints = []
  for (const seed of seeds) {
    const { violation, fingerprint } = await simulate({ seed })
    prints.push(violation === null ? fingerprint : violation.property)
  }
  return prints
}`,
  )
  await build({
    entry: { bundle: entry },
    outDir: folder,
    format: 'iife',
    platform: 'browser',
    noExternal: [/.*/],
    silent: true,
    config: false,
    esbuildOptions: (options) => {
      options.conditions = ['@coracle/source']
    },
  })
  bundle = await readFile(join(folder, 'bundle.global.js'), 'utf8')
})
afterAll(() => rm(folder, { recursive: true }))

/** Chromium, wherever this machine keeps it; null if it has none. */
function findBrowser(): string | null {
  for (const name of ['chromium', 'chromium-browser', 'google-chrome'])
    try {
      return execFileSync('which', [name], { encoding: 'utf8', stdio: 'pipe' }).trim()
    } catch {
      // Not by this name.
    }
  return null
}

/** Opens a page with the bundle, which sends back what it found. */
async function runInBrowser(browser: string): Promise<unknown> {
  const page = `<script src="/bundle.js"></script><script>
simulateAll(${JSON.stringify(SEEDS)}).catch(String).then((found) =>
  fetch('/found', { method: 'POST', body: JSON.stringify(found) }))</script>`
  let settle: (found: unknown) => void = () => {}
  let fail: (reason: Error) => void = () => {}
  const found = new Promise<unknown>((resolve, reject) => {
    settle = resolve
    fail = reject
  })
  const server = createServer((request, response) => {
    if (request.method !== 'POST') return response.end(request.url === '/' ? page : bundle)
    let body = ''
    request.on('data', (chunk: Buffer) => (body += chunk.toString()))
    request.on('end', () => settle(JSON.parse(body)))
    return response.end()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const flags = ['--headless', '--no-sandbox', '--disable-gpu', `--user-data-dir=${folder}/profile`]
  const child = spawn(browser, [...flags, `http://127.0.0.1:${port}/`], { stdio: 'ignore' })
  child.once('error', fail)
  child.once('exit', (code) => fail(new Error(`the browser ended with ${code}`)))
  try {
    return await found
  } finally {
    child.removeAllListeners('exit')
    child.kill('SIGKILL')
    server.closeAllConnections()
    server.close()
  }
}

/** A world with what all browsers and workers have, and nothing of Node. */
function runInBareContext(): Promise<unknown> {
  const web = { TextEncoder, TextDecoder, MessageChannel, AbortController, AbortSignal, console }
  const context = createContext({ ...web })
  runInContext(bundle, context)
  return runInContext(`simulateAll(${JSON.stringify(SEEDS)})`, context) as Promise<unknown>
}

async function fingerprintsHere(): Promise<readonly string[]> {
  const reports = await Promise.all(SEEDS.map((seed) => simulate({ seed })))
  return reports.map(({ fingerprint }) => fingerprint)
}

const browser = findBrowser()
const places: readonly (readonly [string, () => Promise<unknown>])[] = [
  ['a bare context, with nothing of Node', runInBareContext],
  ...(browser === null ? [] : [[browser, () => runInBrowser(browser)] as const]),
]

test.each(places)('a simulation runs in %s, and comes to the same', async (_, runThere) => {
  expect(await runThere()).toEqual(await fingerprintsHere())
})
