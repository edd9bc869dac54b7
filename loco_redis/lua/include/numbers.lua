-- Whole numbers as texts, counted exactly up to 2^53.

local function is_number(text, most)
  return #text <= 16 and string.find(text, '^%d+$') and text + 0 <= most
end
