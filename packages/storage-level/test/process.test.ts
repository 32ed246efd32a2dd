import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface, type Interface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { levelStorage } from '../src/index.ts'

const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url))

let root = ''
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'storage-level-'))
})
afterEach(() => rm(root, { recursive: true }))

interface Writer {
  readonly process: ChildProcess
  readonly lines: Interface
}

/** Starts a process that appends for ever, and can write no file larger than `maxFileBytes`. */
function startWriter(options: {
  readonly fsync: boolean
  readonly dataBytes?: number
  readonly maxFileBytes?: number
}): Writer {
  const { fsync, dataBytes = 100, maxFileBytes } = options
  const limit = maxFileBytes === undefined ? 'unlimited' : maxFileBytes / 512
  const writer = [here('crashing-writer.ts'), join(root, 'data'), `${fsync}`, `${dataBytes}`]
  const node = ['--conditions=@coracle/source', '--import', here('typescript-loader.mjs')]
  const shell = ['-c', `ulimit -f ${limit} && exec "$0" "$@"`, process.execPath]
  const child = spawn('sh', [...shell, ...node, ...writer], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  return { process: child, lines: createInterface({ input: child.stdout }) }
}

test.each([{ fsync: true }, { fsync: false }])(
  'with fsync $fsync, what was acknowledged survives SIGKILL, and no batch survives in part',
  async ({ fsync }) => {
    const writer = startWriter({ fsync })
    let acknowledged = 0
    let count = 0
    for await (const line of writer.lines) {
      acknowledged = Number(line)
      if (++count === 50) {
        await expectLocked(join(root, 'data'))
        writer.process.kill('SIGKILL')
      }
    }
    expect(count).toBeGreaterThanOrEqual(50)

    await using storage = levelStorage({ location: join(root, 'data') })
    const { lastIndex, hardState } = await storage.load()
    expect(lastIndex).toBeGreaterThanOrEqual(acknowledged)
    expect(lastIndex % 3).toBe(0)
    const term = lastIndex - 2
    expect(hardState).toEqual({ term, votedFor: `node ${term}`, commitIndex: 0 })
    const entries = await storage.entries(1, lastIndex + 1, { maxBytes: 2 ** 40 })
    expect(entries.map((entry) => entry.index)).toEqual(entries.map((_, i) => i + 1))
  },
)

/** While another process has the directory open. */
async function expectLocked(location: string): Promise<void> {
  await using storage = levelStorage({ location })
  await expect(storage.load()).rejects.toMatchObject({
    code: 'LOCKED',
    location,
    message: expect.stringContaining(`data directory ${location} is in use by another process`),
  })
}

test('a disk that is full fails the append, and what was acknowledged before it is there', async () => {
  const writer = startWriter({ fsync: true, dataBytes: 20_000, maxFileBytes: 1 << 20 })
  let acknowledged = 0
  let failure = ''
  for await (const line of writer.lines)
    if (line.startsWith('failed')) failure = line
    else acknowledged = Number(line)
  expect(failure).toContain('IO_FAILED')
  expect(failure).toContain(join(root, 'data'))
  expect(acknowledged).toBeGreaterThan(0)

  await using storage = levelStorage({ location: join(root, 'data') })
  const { lastIndex } = await storage.load()
  expect(lastIndex).toBeGreaterThanOrEqual(acknowledged)
  const entries = await storage.entries(1, lastIndex + 1, { maxBytes: 2 ** 40 })
  expect(entries).toHaveLength(lastIndex)
})
