export const HEADERS: Record<string, string>;
