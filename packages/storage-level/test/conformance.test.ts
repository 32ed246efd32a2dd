import { copyFileSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Storage } from '@coracle/raft-core'
import { storageConformance } from '@coracle/raft-core/conformance'
import { ClassicLevel } from 'classic-level'
import { describe, test } from 'vitest'
import { levelStorage } from '../src/index.ts'
import { CHUNK_KEYS } from '../src/keys.ts'

/** A directory, and the storages that were cut off from it. */
interface Disk {
  readonly root: string
  location: string
  crashes: number
  open: Storage | null
  readonly dead: Storage[]
}

async function createDisk(): Promise<Disk> {
  const root = await mkdtemp(join(tmpdir(), 'storage-level-'))
  return { root, location: join(root, '0'), crashes: 0, open: null, dead: [] }
}

/**
 * Takes the files as they are at this moment for what the crash left, and goes on with the copy:
 * the storage that was open may write to the old place whatever it likes.
 */
async function crash(disk: Disk): Promise<void> {
  const left = join(disk.root, `${++disk.crashes}`)
  while (!copyOfOneMoment(disk.location, left)) rmSync(left, { recursive: true, force: true })
  if (disk.open !== null) disk.dead.push(disk.open)
  disk.open = null
  disk.location = left
}

/**
 * LevelDB goes on behind our back: it adds tables, notes that in its manifest, and removes old ones.
 * A copy during which it did so shows no moment that ever was. Answers whether this one does.
 */
function copyOfOneMoment(from: string, to: string): boolean {
  const before = outline(from)
  mkdirSync(to)
  try {
    for (const name of readdirSync(from)) copyFileSync(join(from, name), join(to, name))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
  return outline(from) === before
}

/** Which files there are, and how long the manifest is. */
function outline(location: string): string {
  return readdirSync(location)
    .map((name) => (name.startsWith('MANIFEST') ? name + sizeOf(join(location, name)) : name))
    .join()
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0
}

async function damageSnapshot({ location }: Disk): Promise<void> {
  const level = new ClassicLevel<Uint8Array, Uint8Array>(location, {
    keyEncoding: 'view',
    valueEncoding: 'view',
  })
  const [[key, value]] = (await level.iterator({ ...CHUNK_KEYS, limit: 1 }).all()) as [
    [Uint8Array, Uint8Array],
  ]
  value[value.length >> 1] = (value[value.length >> 1] ?? 0) ^ 4
  await level.put(key, value)
  await level.close()
}

describe.each([{ fsync: true }, { fsync: false }])('with fsync $fsync', ({ fsync }) => {
  storageConformance<Disk>({
    test,
    createDisk,
    async open(disk) {
      disk.open = levelStorage({ location: disk.location, fsync })
      return disk.open
    },
    async removeDisk(disk) {
      for (const storage of disk.dead) await storage[Symbol.asyncDispose]()
      await rm(disk.root, { recursive: true })
    },
    crash,
    damageSnapshot,
    exclusive: true,
  })
})
