import { spawn } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const program = fileURLToPath(new URL('../dist/main.js', import.meta.url))

function run(): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [program], { stdio: ['ignore', 'pipe', 'inherit'] })
    let output = ''
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
    child.once('error', reject)
    child.once('close', (code) => resolve({ code, output }))
  })
}

function leftovers(): string[] {
  return readdirSync(tmpdir()).filter((name) => name.startsWith('coracle-demo-'))
}

test('the demo keeps its promises, says so at the end, and cleans up', async () => {
  if (!existsSync(program)) throw new Error('the demo is not built: run pnpm build first')
  const before = leftovers()
  const { code, output } = await run()
  expect(output.trimEnd().split('\n').at(-1)).toMatch(/^Every promise was kept: .* all 1200 /)
  expect(output).toContain('1200 found, 0 lost')
  expect(code).toBe(0)
  expect(leftovers().filter((name) => !before.includes(name))).toEqual([])
}, 60_000)
