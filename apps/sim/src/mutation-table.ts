import type { Hunt } from './hunt.ts'

export const TABLE_HEAD = '| trap | mutation | what is wrong | as in | found by | rule broken |'

/** What came of the hunts, for the documentation. */
export function tableOf(hunts: readonly Hunt[]): string {
  const rows = hunts.map(({ mutation, found, seeds }) => {
    const [trap = '', ...words] = mutation.name.split('-')
    const outcome = found === null ? `not within ${seeds} seeds` : `seed ${found.seed}`
    const cells = [trap, words.join(' '), mutation.story, mutation.origin, outcome]
    return `| ${[...cells, found?.rule ?? '-'].join(' | ')} |`
  })
  return [TABLE_HEAD, '| --- | --- | --- | --- | --- | --- |', ...rows, ''].join('\n')
}
