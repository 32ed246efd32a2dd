import {
  cp,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  truncate,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { crc32 as zlibCrc32 } from 'node:zlib'
import type { AppendBatch, Entry, Stored } from '@coracle/raft-core'
import { crc32 } from '@coracle/raft-core/codec'
import { ClassicLevel } from 'classic-level'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Engine } from '../src/database.ts'
import { levelStorage, StorageError } from '../src/index.ts'
import {
  boundsKey,
  entryKey,
  FORMAT_KEY,
  HARD_STATE_KEY,
  MEMBERSHIPS_KEY,
  TERM_RUNS_KEY,
} from '../src/keys.ts'
import { LevelStorage } from '../src/level-storage.ts'

const ALL = { maxBytes: 2 ** 40 }

let root = ''
let location = ''
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'storage-level-'))
  location = join(root, 'data')
})
afterEach(() => rm(root, { recursive: true }))

function batch(from: number, to: number, term: number): AppendBatch {
  const entries = Array.from({ length: to - from }, (_, i) => ({
    index: from + i,
    term,
    type: i === 0 ? ('membership' as const) : ('command' as const),
    data: new TextEncoder().encode(`entry ${from + i} of ${term}`),
  }))
  return { reset: null, entries, hardState: { term, votedFor: 'a', commitIndex: from } }
}

/** A directory with a log of nine entries, written in three batches. */
async function writeSome(): Promise<void> {
  await using storage = levelStorage({ location })
  await storage.load()
  await storage.append(batch(1, 6, 1))
  await storage.append(batch(4, 8, 2))
  await storage.append(batch(8, 10, 3))
}

function engineAt(path: string): Engine {
  return new ClassicLevel(path, { keyEncoding: 'view', valueEncoding: 'view' })
}

async function tamper(change: (engine: Engine) => Promise<void>): Promise<void> {
  const engine = engineAt(location)
  await engine.open()
  await change(engine)
  await engine.close()
}

/** Loads and reads everything there is. */
async function readAll(): Promise<Stored> {
  await using storage = levelStorage({ location })
  const stored = await storage.load()
  if (stored.lastIndex > stored.compacted.index)
    await storage.entries(stored.compacted.index + 1, stored.lastIndex + 1, ALL)
  return stored
}

async function failure(): Promise<StorageError> {
  const error = await readAll().catch((reason: unknown) => reason)
  expect(error).toBeInstanceOf(StorageError)
  expect((error as StorageError).message).toContain(location)
  return error as StorageError
}

async function journal(): Promise<string> {
  const name = (await readdir(location)).find((file) => file.endsWith('.log'))
  return join(location, name ?? '')
}

describe('a record that changed on the disk', () => {
  test.each([
    ['e/7', entryKey(7)],
    ['h', HARD_STATE_KEY],
    ['t', TERM_RUNS_KEY],
    ['m', MEMBERSHIPS_KEY],
    ['b/3', boundsKey(3)],
    ['f', FORMAT_KEY],
  ])('%s: any flipped bit is CORRUPT, and the error names the key', async (name, key) => {
    await writeSome()
    const value = await new Promise<Uint8Array>((found, failed) => {
      tamper(async (engine) => found((await engine.get(key)) ?? new Uint8Array())).catch(failed)
    })
    for (const at of [0, 4, value.length >> 1, value.length - 1]) {
      const changed = Uint8Array.from(value)
      changed[at] = (changed[at] ?? 0) ^ 0x10
      await tamper((engine) => engine.put(key, changed))
      const { code, message } = await failure()
      expect(code).toBe('CORRUPT')
      expect(message).toContain(`record ${name} `)
    }
  })

  test.each([
    ['a record of entries', entryKey(7), 'entry 4'],
    ['what a truncation left of one', entryKey(3), 'entry 1'],
    ['a record with a membership', entryKey(9), 'entry 8'],
    ['the hard state', HARD_STATE_KEY, 'record h'],
    ['the term runs', TERM_RUNS_KEY, 'record t'],
    ['the memberships', MEMBERSHIPS_KEY, 'record m'],
    ['the bounds', boundsKey(3), 'bounds'],
  ])('%s that is missing is CORRUPT', async (_, key, name) => {
    await writeSome()
    await tamper((engine) => engine.del(key))
    const { code, message } = await failure()
    expect(code).toBe('CORRUPT')
    expect(message).toContain(name)
  })

  test('a value that was put under another key is CORRUPT', async () => {
    await writeSome()
    await tamper(async (engine) => {
      await engine.put(entryKey(7), (await engine.get(entryKey(3))) ?? new Uint8Array())
    })
    expect((await failure()).code).toBe('CORRUPT')
  })

  test.each([
    ['a record of entries', entryKey(5)],
    ['the hard state', HARD_STATE_KEY],
    ['the term runs', TERM_RUNS_KEY],
  ])('an old version of %s that comes back is CORRUPT', async (_, key) => {
    await using storage = levelStorage({ location })
    await storage.load()
    await storage.append(batch(1, 6, 1))
    await storage[Symbol.asyncDispose]()
    let old = new Uint8Array()
    await tamper(async (engine) => {
      old = Uint8Array.from((await engine.get(key)) ?? [])
    })
    await using again = levelStorage({ location })
    await again.load()
    await again.append(batch(4, 8, 2))
    await again[Symbol.asyncDispose]()
    await tamper((engine) => engine.put(key, old))
    const { code, message } = await failure()
    expect(code).toBe('CORRUPT')
    expect(message).toContain('an old one')
  })

  test('a write that is missing between others is CORRUPT', async () => {
    await writeSome()
    await tamper((engine) => engine.put(boundsKey(1), new Uint8Array()))
    const { code, message } = await failure()
    expect(code).toBe('CORRUPT')
    expect(message).toContain('a write is missing')
  })
})

describe('the journal', () => {
  test('cut anywhere leaves each batch whole or not there at all', async () => {
    await writeSome()
    const whole = await readFile(await journal())
    const outcomes = new Set<number>()
    const intact = join(root, 'intact')
    await cp(location, intact, { recursive: true })
    for (let length = whole.length; length >= 0; length -= 13) {
      await rm(location, { recursive: true })
      await cp(intact, location, { recursive: true })
      await truncate(await journal(), length)
      const outcome = await readAll().catch((error: unknown) => error)
      if (outcome instanceof StorageError) {
        // Only a directory that had not even been created in full is left without a format.
        expect(outcome.message).toContain('nothing of its content is left')
        continue
      }
      const { lastIndex, hardState } = outcome as Stored
      const term = { 0: 0, 5: 1, 7: 2, 9: 3 }[lastIndex]
      expect(hardState.term).toBe(term)
      outcomes.add(lastIndex)
    }
    expect([...outcomes].sort((a, b) => a - b)).toEqual([0, 5, 7, 9])
  })

  test('with a last write of which any part is missing goes on without that write', async () => {
    await writeSome()
    await using storage = levelStorage({ location })
    await storage.load()
    const large = { ...batch(10, 13, 4).entries[0], data: new Uint8Array(100_000).fill(9) }
    await storage.append({ ...batch(10, 11, 4), entries: [large as Entry] })
    await storage[Symbol.asyncDispose]()
    const path = await journal()
    const whole = await readFile(path)
    expect(whole.length).toBeGreaterThan(100_000)
    // Pages of a write that was never synced reach the disk in any order, or not at all.
    for (let at = 0; at < whole.length; at += 4_096) {
      const torn = Buffer.from(whole)
      torn.fill(0, at, Math.min(at + 4_096, torn.length))
      const copy = join(root, `torn ${at}`)
      await cp(location, copy, { recursive: true })
      await writeFile(path.replace(location, copy), torn)
      await using reopened = levelStorage({ location: copy })
      expect((await reopened.load()).lastIndex).toBe(9)
    }
  })

  test('with a block that ends in filling is sound', async () => {
    await using storage = levelStorage({ location })
    await storage.load()
    let index = 1
    const grow = async (dataBytes: number): Promise<number> => {
      const entry = { index, term: 1, type: 'command' as const, data: new Uint8Array(dataBytes) }
      await storage.append({ reset: null, entries: [entry], hardState: null })
      index += 1
      return (await stat(await journal())).size
    }
    await grow(1_000)
    const size = await grow(1_000)
    const overhead = (await grow(1_000)) - size - 1_000
    const half = await grow(15_000)
    // Three bytes before the end of the block: too few for a header.
    expect(await grow(32_765 - half - overhead)).toBe(32_765)
    await grow(1_000)
    await storage[Symbol.asyncDispose]()
    expect((await readAll()).lastIndex).toBe(6)
  })

  test('of which nothing can be read is CORRUPT, not a new beginning', async () => {
    await writeSome()
    await truncate(await journal(), 10)
    const { code, message } = await failure()
    expect(code).toBe('CORRUPT')
    expect(message).toContain('nothing of its content is left')
  })

  test('with a flipped bit anywhere but in its last write is CORRUPT, not a step back in time', async () => {
    await writeSome()
    const path = await journal()
    const whole = await readFile(path)
    const lastWrite = whole.lastIndexOf('entry 8 of 3') - 200
    for (let at = 0; at < lastWrite; at += 17) {
      const changed = Buffer.from(whole)
      changed.writeUInt8(changed.readUInt8(at) ^ 0x04, at)
      await writeFile(path, changed)
      const { code, message } = await failure()
      expect(code).toBe('CORRUPT')
      expect(message).toContain(path)
    }
    await writeFile(path, whole)
    expect((await readAll()).lastIndex).toBe(9)
  })
})

describe('a directory that is not what it should be', () => {
  test.each(['CURRENT', 'MANIFEST'])('without a sound %s file is CORRUPT', async (name) => {
    await writeSome()
    const file = (await readdir(location)).find((found) => found.startsWith(name)) ?? ''
    await writeFile(join(location, file), 'garbage')
    expect((await failure()).code).toBe('CORRUPT')
    await rm(join(location, file))
    expect((await failure()).code).toMatch(/CORRUPT|IO_FAILED/)
    expect((await readdir(location)).some((found) => /\.(?:log|ldb)$/.test(found))).toBe(true)
  })

  test('of a newer format is refused by name, and left as it is', async () => {
    await writeSome()
    const key = FORMAT_KEY
    await tamper(async (engine) => {
      const body = Uint8Array.of(2, 0, 0, 0)
      const value = new Uint8Array(8)
      new DataView(value.buffer).setUint32(0, crc32(body, crc32(key)), true)
      value.set(body, 4)
      await engine.put(key, value)
    })
    const { code, message } = await failure()
    expect(code).toBe('NEWER_FORMAT')
    expect(message).toContain('has format 2, and this version knows only 1')
  })

  test('with other files is NOT_A_STORAGE, and left as it is', async () => {
    await mkdir(location)
    await writeFile(join(location, 'thesis.tex'), 'years of work')
    const { code, message } = await failure()
    expect(code).toBe('NOT_A_STORAGE')
    expect(message).toContain('thesis.tex')
    expect(await readdir(location)).toEqual(['thesis.tex'])
  })

  test('with a LevelDB of something else is NOT_A_STORAGE', async () => {
    await tamper((engine) => engine.put(Uint8Array.of(1), Uint8Array.of(2)))
    expect((await failure()).code).toBe('NOT_A_STORAGE')
  })

  test('that is a file is IO_FAILED', async () => {
    await writeFile(location, 'a file')
    expect((await failure()).code).toBe('IO_FAILED')
  })

  test('whose creation was cut short is begun anew', async () => {
    await tamper(async () => {})
    expect((await readAll()).lastIndex).toBe(0)
  })

  test('can be used once the one that used it is gone', async () => {
    const first = levelStorage({ location })
    await first.load()
    await using second = levelStorage({ location })
    await expect(second.load()).rejects.toMatchObject({ code: 'LOCKED' })
    await first[Symbol.asyncDispose]()
    await second.load()
  })
})

describe('a write that fails', () => {
  /** The real engine until `broken` is set; then every batch fails as on a full disk. */
  function fragile(): { readonly storage: LevelStorage; break(): void } {
    let broken = false
    const createEngine = (path: string): Engine => {
      const engine = engineAt(path)
      const begin = engine.batch.bind(engine) as () => ReturnType<Engine['batch']>
      const failing = (): ReturnType<Engine['batch']> => {
        const chained = begin()
        if (broken) chained.write = () => Promise.reject(new Error('no space left on device'))
        return chained
      }
      engine.batch = failing as Engine['batch']
      return engine
    }
    return {
      storage: new LevelStorage(location, { fsync: true, createEngine }),
      break: () => {
        broken = true
      },
    }
  }

  test('rejects the append with the cause, and so are all later ones', async () => {
    const { storage, break: breakDisk } = fragile()
    await storage.load()
    await storage.append(batch(1, 4, 1))
    breakDisk()
    const failed = { code: 'IO_FAILED', cause: new Error('no space left on device'), location }
    await expect(storage.append(batch(4, 6, 1))).rejects.toMatchObject(failed)
    await expect(storage.append(batch(4, 6, 1))).rejects.toMatchObject(failed)
    await expect(storage.compact({ index: 2, term: 1 })).rejects.toMatchObject(failed)
    expect(await storage.entries(1, 4, ALL)).toHaveLength(3)
    await storage[Symbol.asyncDispose]()
    expect((await readAll()).lastIndex).toBe(3)
  })

  test('rejects writeSnapshot, and the old snapshot stays', async () => {
    async function* chunks(): AsyncGenerator<Uint8Array> {
      yield Uint8Array.of(1, 2, 3)
    }
    const membership = { voters: [], outgoing: [], learners: [], peers: [], removed: [] }
    const { storage, break: breakDisk } = fragile()
    await storage.load()
    await storage.writeSnapshot(
      { position: { index: 1, term: 1 }, membership, membershipIndex: 1 },
      chunks(),
    )
    breakDisk()
    const meta = { position: { index: 2, term: 1 }, membership, membershipIndex: 1 }
    await expect(storage.writeSnapshot(meta, chunks())).rejects.toMatchObject({ code: 'IO_FAILED' })
    await storage[Symbol.asyncDispose]()
    expect((await readAll()).snapshot?.position.index).toBe(1)
  })

  test('leaves nothing half done when a value cannot be written at all', async () => {
    await using storage = levelStorage({ location })
    await storage.load()
    const tooLong = { term: 1, votedFor: 'x'.repeat(256), commitIndex: 0 }
    await expect(storage.append({ ...batch(1, 4, 1), hardState: tooLong })).rejects.toThrow(
      RangeError,
    )
    await storage.append(batch(1, 4, 1))
    expect(await storage.entries(1, 4, ALL)).toHaveLength(3)
  })
})

describe('the use of a storage', () => {
  test('begins with load, once, and ends with dispose', async () => {
    const storage = levelStorage({ location })
    await expect(storage.append(batch(1, 2, 1))).rejects.toThrow(TypeError)
    await storage.load()
    await expect(storage.load()).rejects.toThrow(TypeError)
    await storage[Symbol.asyncDispose]()
    for (const call of [
      storage.load(),
      storage.append(batch(1, 2, 1)),
      storage.entries(1, 2, ALL),
      storage.compact({ index: 1, term: 1 }),
      storage.readSnapshot(),
    ])
      await expect(call).rejects.toMatchObject({ code: 'STOPPED' })
  })

  test('needs a location', () => {
    expect(() => levelStorage({ location: '' })).toThrow(TypeError)
  })

  test('the portable checksum is that of zlib', () => {
    const bytes = new TextEncoder().encode('the same, in a browser and on Node')
    expect(crc32(bytes)).toBe(zlibCrc32(bytes))
  })
})
