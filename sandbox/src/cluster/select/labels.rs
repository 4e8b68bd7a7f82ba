//! Label selectors, read as the real server reads them.

use std::collections::VecDeque;

use super::super::metadata::names;
use super::{Requirement, Test};

/// A token; identifiers carry their text.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Symbol(&'static str),
    Word(String),
    Unknown(String),
    End,
}

const SYMBOLS: [&str; 8] = ["==", "!=", "=", "!", ">", "<", "(", ")"];
const COMMA: &str = ",";

impl Token {
    fn text(&self) -> &str {
        match self {
            Self::Symbol(text) => text,
            Self::Word(text) | Self::Unknown(text) => text,
            Self::End => "",
        }
    }

    fn is(&self, symbol: &str) -> bool {
        matches!(self, Self::Symbol(text) if *text == symbol)
    }
}

fn tokens(text: &str) -> VecDeque<Token> {
    let is_special = |c: char| "=!(),><".contains(c);
    let mut tokens = VecDeque::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        if is_special(first) {
            let symbol = SYMBOLS.iter().chain([&COMMA]).find(|symbol| rest.starts_with(**symbol));
            match symbol {
                Some(symbol) => {
                    tokens.push_back(Token::Symbol(symbol));
                    rest = &rest[symbol.len()..];
                }
                None => {
                    tokens.push_back(Token::Unknown(rest.to_string()));
                    rest = "";
                }
            }
        } else {
            let end = rest.find(|c: char| is_special(c) || c.is_whitespace()).unwrap_or(rest.len());
            tokens.push_back(Token::Word(rest[..end].to_string()));
            rest = &rest[end..];
        }
        rest = rest.trim_start();
    }
    tokens.push_back(Token::End);
    tokens
}

/// Reads a selector; the error is the real server's.
pub(super) fn parse(text: &str) -> Result<Vec<Requirement>, String> {
    let mut parser = Parser { tokens: tokens(text) };
    let mut requirements = vec![];
    loop {
        match parser.peek() {
            Token::End => return Ok(requirements),
            _ if parser.begins_requirement() => {
                let requirement = parser.requirement().map_err(|why| format!("unable to parse requirement: {why}"))?;
                requirements.push(requirement);
            }
            other => return Err(format!("found '{}', expected: !, identifier, or 'end of string'", other.text())),
        }
        match parser.next() {
            Token::End => return Ok(requirements),
            token if token.is(COMMA) => {
                if !parser.begins_requirement() {
                    return Err(format!("found '{}', expected: identifier after ','", parser.peek().text()));
                }
            }
            other => return Err(format!("found '{}', expected: ',' or 'end of string'", other.text())),
        }
    }
}

struct Parser {
    tokens: VecDeque<Token>,
}

impl Parser {
    fn peek(&self) -> &Token {
        self.tokens.front().unwrap_or(&Token::End)
    }

    fn next(&mut self) -> Token {
        self.tokens.pop_front().unwrap_or(Token::End)
    }

    fn begins_requirement(&self) -> bool {
        matches!(self.peek(), Token::Word(_)) || self.peek().is("!")
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let mut token = self.next();
        let absent = token.is("!");
        if absent {
            token = self.next();
        }
        let Token::Word(key) = token else { return Err(format!("found '{}', expected: identifier", token.text())) };
        if let Some(why) = names::qualified(&key).first() {
            return Err(format!("<nil>: Invalid value: {key:?}: {why}"));
        }
        let test = match self.peek() {
            _ if absent => Test::Absent,
            next if *next == Token::End || next.is(COMMA) => Test::Exists,
            _ => self.test(&key)?,
        };
        Ok(Requirement { key, test })
    }

    fn test(&mut self, key: &str) -> Result<Test, String> {
        let operator = self.next();
        let test = match operator.text() {
            "in" => Test::In(self.values()?),
            "notin" => Test::NotIn(self.values()?),
            "=" | "==" => Test::In(vec![self.value()?]),
            "!=" => Test::NotIn(vec![self.value()?]),
            ">" => Test::Above(number(&self.value()?)?),
            "<" => Test::Below(number(&self.value()?)?),
            other => return Err(format!("found '{other}', expected: in, notin, =, ==, !=, gt, lt")),
        };
        if let Test::In(values) | Test::NotIn(values) = &test {
            for (index, value) in values.iter().enumerate() {
                if let Some(why) = names::label_value(value).first() {
                    return Err(format!("values[{index}][{key}]: Invalid value: {value:?}: {why}"));
                }
            }
        }
        Ok(test)
    }

    fn value(&mut self) -> Result<String, String> {
        match self.peek() {
            token if *token == Token::End || token.is(COMMA) => return Ok(String::new()),
            _ => {}
        }
        match self.next() {
            Token::Word(value) => Ok(value),
            other => Err(format!("found '{}', expected: identifier", other.text())),
        }
    }

    /// `(a,b)`: in order, each once, as the real server keeps them.
    fn values(&mut self) -> Result<Vec<String>, String> {
        let open = self.next();
        if !open.is("(") {
            return Err(format!("found '{}' expected: '('", open.text()));
        }
        let mut values = vec![];
        match self.peek() {
            token if token.is(")") => values.push(String::new()),
            Token::Word(_) => {}
            token if token.is(COMMA) => values.push(String::new()),
            other => return Err(format!("found '{}', expected: ',', ')' or identifier", other.text())),
        }
        loop {
            match self.next() {
                Token::Word(value) => {
                    values.push(value);
                    if !self.peek().is(COMMA) && !self.peek().is(")") {
                        return Err(format!("found '{}', expected: ',' or ')'", self.peek().text()));
                    }
                }
                token if token.is(COMMA) => {
                    if self.peek().is(")") || self.peek().is(COMMA) {
                        values.push(String::new());
                    }
                }
                token if token.is(")") => break,
                other => return Err(format!("found '{}', expected: ',', or identifier", other.text())),
            }
        }
        values.sort();
        values.dedup();
        Ok(values)
    }
}

fn number(text: &str) -> Result<i64, String> {
    let why = "for 'Gt', 'Lt' operators, the value must be an integer";
    text.parse().map_err(|_| format!("values[0]: Invalid value: {text:?}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_refused_in_the_words_of_the_real_server() {
        for (text, said) in [
            ("a in (", "unable to parse requirement: found '', expected: ',', ')' or identifier"),
            ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'"),
            ("a in (b,", "unable to parse requirement: found '', expected: ',', or identifier"),
            ("a in b", "unable to parse requirement: found 'b' expected: '('"),
            ("=b", "found '=', expected: !, identifier, or 'end of string'"),
            ("a=b,", "found '', expected: identifier after ','"),
            ("a,,b", "found ',', expected: identifier after ','"),
            ("!", "unable to parse requirement: found '', expected: identifier"),
            ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
            ("a=b c", "found 'c', expected: ',' or 'end of string'"),
            ("!a=b", "found '=', expected: ',' or 'end of string'"),
        ] {
            assert_eq!(parse(text).unwrap_err(), said, "{text}");
        }
        assert!(parse("a<").unwrap_err().contains("must be an integer"));
        assert!(
            parse("a=-").unwrap_err().starts_with("unable to parse requirement: values[0][a]: Invalid value: \"-\":")
        );
    }

    #[test]
    fn spaces_do_not_matter() {
        let requirements = parse(" a in(b, c),d notin ( ),!e , f==g,h!=i,j>5").unwrap();
        let keys: Vec<&str> = requirements.iter().map(|r| r.key.as_str()).collect();
        assert_eq!(keys, ["a", "d", "e", "f", "h", "j"]);
        assert!(parse("").unwrap().is_empty());
    }
}
