/** Resolves when the condition holds, looking every `everyMs`; rejects after ten seconds. */
export async function until(condition: () => boolean, everyMs = 5): Promise<void> {
  const deadline = performance.now() + 10_000
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`still not: ${condition.toString()}`)
    await new Promise((resolve) => setTimeout(resolve, everyMs))
  }
}
