<?xml version="1.0" encoding="UTF-8"?>
<!-- Puts into words what an HTML page says by its looks: exponents, marks of notes, and what a form holds. -->
<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform"
    xmlns:re="http://exslt.org/regular-expressions" exclude-result-prefixes="re">
  <xsl:template match="@* | node()"><xsl:copy><xsl:apply-templates select="@* | node()"/></xsl:copy></xsl:template>

  <!-- 10<sup>6</sup> and m<sup>3</sup> are powers, 1998<sup>12</sup> and "was replaced<sup>a</sup>" have notes. -->
  <xsl:template match="sup">
    <xsl:variable name="text" select="normalize-space(.)"/>
    <xsl:variable name="before" select="string(preceding-sibling::node()[1])"/>
    <xsl:choose>
      <xsl:when test=".//a"/>
      <xsl:when test="re:test($text, '^\d*[-+−–]\d*$') or (re:test($text, '\d|^[A-Za-z]$') and
        re:test($before, '((^|[^\w.,])\d\d?|(^|[\W\d_])[^\W\d]{1,2}|\))$') and
        not(re:test($before, '(^|\W)(am|an|as|at|be|by|do|go|he|if|in|is|it|me|my|no|of|on|or|so|to|up|us|we)$')))">^<xsl:value-of select="$text"/></xsl:when>
      <xsl:when test="re:test($text, '^([^\W\d]{2,}|[™®©])$')"><xsl:value-of select="$text"/></xsl:when>
    </xsl:choose>
  </xsl:template>

  <!-- From a note back to its place. -->
  <xsl:template match="a[contains('↑↩↩︎', normalize-space(.)) and normalize-space(.)]"/>

  <xsl:template match="input[contains(' checkbox radio ', concat(' ', @type, ' '))]">
    <span><xsl:choose><xsl:when test="@checked">[x] </xsl:when><xsl:otherwise>[ ] </xsl:otherwise></xsl:choose></span>
  </xsl:template>
  <xsl:template match="input[not(contains(' checkbox radio hidden submit button reset image password file ',
    concat(' ', @type, ' ')))]"><span><xsl:value-of select="concat(' ', @value, ' ')"/></span></xsl:template>
  <xsl:template match="option"><span>
    <xsl:if test="@selected"> [x]</xsl:if><xsl:value-of select="concat(' ', ., ' ')"/></span></xsl:template>
</xsl:stylesheet>
