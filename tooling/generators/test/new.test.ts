import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createPackage } from '../new.js'

let root = ''
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'coracle-new-'))
})
afterEach(() => rmSync(root, { recursive: true }))

const places = [
  ['storage', 'segmented-log', 'packages/storage-segmented-log', 'segmentedLogStorage('],
  ['transport', 'quic', 'packages/transport-quic', 'quicTransport('],
  ['state-machine', 'queue', 'packages/queue-state-machine', 'queueStateMachine('],
  ['app', 'demo-locks', 'apps/demo-locks', 'run('],
] as const

test.each(places)('pnpm new %s %s makes %s', (kind, name, folder, factory) => {
  expect(createPackage(root, kind, name)).toBe(folder)
  const files = readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((file) => file.isFile())
    .map((file) => join(file.parentPath, file.name))
  const text = files.map((file) => readFileSync(file, 'utf8')).join('\n')
  expect(text).toContain(`"name": "@coracle/${folder.split('/')[1]}"`)
  expect(text).toContain(`export ${kind === 'app' ? 'async function* ' : 'function '}${factory}`)
  expect(text).not.toMatch(/\{\{|undefined/)
  expect(files.filter((file) => file.endsWith('.test.ts'))).toHaveLength(1)
})

test('a package that exists is left alone', () => {
  createPackage(root, 'storage', 'redis')
  expect(() => createPackage(root, 'storage', 'redis')).toThrow('exists already')
})

test.each(['', 'Redis', '../redis', 'redis-', '9p'])('the name %j is refused', (name) => {
  expect(() => createPackage(root, 'storage', name)).toThrow('lower-case words')
})
